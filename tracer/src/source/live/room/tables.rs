//! The kernel half's hash maps, from which something is taken.

use aya::Ebpf;
use aya::Pod;
use aya::maps::{HashMap, MapData, MapError};
use tracer_common::exchange::PeerKey;
use tracer_common::layout::{ClassKey, DropKey, NodeKey};

use super::super::load::chain;
use crate::source::Error;

/// The maps.
pub(super) struct Tables<'a>(pub(super) &'a mut Ebpf);

/// A key, as aya wants it.
#[derive(Clone, Copy)]
#[repr(transparent)]
struct Key<T>(T);

// SAFETY: `NodeKey` holds numbers only, without padding (tracer_common::layout asserts its size).
unsafe impl Pod for Key<NodeKey> {}
// SAFETY: as above.
unsafe impl Pod for Key<ClassKey> {}
// SAFETY: `PeerKey` holds numbers only, without padding (tracer_common::exchange asserts its size).
unsafe impl Pod for Key<PeerKey> {}
// SAFETY: `DropKey` is two words without padding.
unsafe impl Pod for Key<DropKey> {}

impl Tables<'_> {
    pub(super) fn forget_node(&mut self, key: NodeKey) -> Result<(), Error> {
        remove::<_, u32>(&mut self.map("NODES")?, &Key(key))
    }

    pub(super) fn forget_class(&mut self, key: ClassKey) -> Result<(), Error> {
        remove::<_, u32>(&mut self.map("CLASSES")?, &Key(key))
    }

    pub(super) fn forget_peer(&mut self, key: PeerKey) -> Result<(), Error> {
        remove::<_, u32>(&mut self.map("PEERS")?, &Key(key))
    }

    pub(super) fn forget_cell(&mut self, node: u32, cpu: u32) -> Result<(), Error> {
        let key = u64::from(node) << 32 | u64::from(cpu);
        remove::<_, u32>(&mut self.map("CELL_OF")?, &key)
    }

    pub(super) fn forget_claims(&mut self, keys: impl Iterator<Item = u64>) -> Result<(), Error> {
        let mut map = self.map("CLAIMS")?;
        for key in keys {
            remove::<u64, u32>(&mut map, &key)?;
        }
        Ok(())
    }

    /// Drops at these nodes; they were read before.
    pub(super) fn forget_drops(&mut self, nodes: &[bool]) -> Result<(), Error> {
        let mut map = self.map::<Key<DropKey>, u64>("DROPS")?;
        let keys: Vec<_> = map.keys().flatten().collect();
        for key in keys {
            if nodes.get(key.0.node as usize).copied().unwrap_or(false) {
                remove(&mut map, &key)?;
            }
        }
        Ok(())
    }

    fn map<K: Pod, V: Pod>(&mut self, name: &str) -> Result<HashMap<&mut MapData, K, V>, Error> {
        let map = self.0.map_mut(name).expect("the object has this map");
        map.try_into().map_err(|cause| refused(&cause))
    }
}

/// What is not there any more need not be taken.
fn remove<K: Pod, V: Pod>(map: &mut HashMap<&mut MapData, K, V>, key: &K) -> Result<(), Error> {
    match map.remove(key) {
        Ok(()) | Err(MapError::KeyNotFound) => Ok(()),
        Err(MapError::SyscallError(cause))
            if cause.io_error.raw_os_error() == Some(libc::ENOENT) =>
        {
            Ok(())
        }
        Err(cause) => Err(refused(&cause)),
    }
}

fn refused(cause: &MapError) -> Error {
    Error::Kernel {
        doing: "make room in the kernel half's tables".to_owned(),
        because: chain(cause),
        advice: "larger limits in the configuration".to_owned(),
    }
}
