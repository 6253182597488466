//! Constants of the kernel half's instructions, which the agent writes there before it loads them.
//!
//! A read-only global would tell the verifier as much. But each of its uses stays two instructions
//! and a read of memory for good, and at every hop there are dozens of them. Where a constant is to
//! stand the compiled instruction has a mark, which says what belongs there.

/// The upper 48 bits of a 64-bit constant that is a mark. No hash or mask that is meant looks so.
const MARK: u64 = 0x7472_6163_6572_0000;

/// Set in the mark of a word of 8 bytes; else it is one of 4.
const IS_LONG: u64 = 1 << 15;

/// Where the number of the structure stands in a mark, above the distance from its beginning.
const TABLE_SHIFT: u32 = 12;

/// Distances from here on, in an instruction that loads, are marks. No structure of the kernel half's
/// own is as large.
const FIRST_MEMBER: u16 = 0x7c00;

/// The structures that constants come from.
#[repr(u16)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Table {
    /// [`crate::settings::Offsets`]
    Offsets = 0,
    /// [`crate::settings::Settings`]
    Settings = 1,
}

/// A word of one of the structures.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Word {
    /// The structure.
    pub table: Table,
    /// The distance from its beginning in bytes.
    pub at: usize,
    /// 4 or 8 bytes.
    pub bytes: usize,
}

impl Word {
    /// What stands for the word in an instruction that sets a register.
    ///
    /// # Panics
    /// When the compiler evaluates it, for a word that no mark can name.
    pub const fn mark(self) -> u64 {
        assert!(self.at < 1 << TABLE_SHIFT && (self.bytes == 4 || self.bytes == 8));
        let is_long = if self.bytes == 8 { IS_LONG } else { 0 };
        MARK | is_long | (self.table as u64) << TABLE_SHIFT | self.at as u64
    }

    /// The word that a constant of 64 bits stands for, if it is a mark.
    pub const fn of_mark(constant: u64) -> Option<Self> {
        if constant & !0xffff != MARK {
            return None;
        }
        let table = match (constant & (IS_LONG - 1)) >> TABLE_SHIFT {
            0 => Table::Offsets,
            1 => Table::Settings,
            _ => return None,
        };
        Some(Self {
            table,
            at: constant as usize & ((1 << TABLE_SHIFT) - 1),
            bytes: if constant & IS_LONG == 0 { 4 } else { 8 },
        })
    }

    /// What stands for a word of [`Table::Offsets`] in an instruction that loads a member of a
    /// structure of the kernel.
    ///
    /// # Panics
    /// When the compiler evaluates it, for a distance that no mark can name.
    pub const fn member(at: usize) -> i16 {
        assert!(at < (i16::MAX as u16 - FIRST_MEMBER) as usize);
        (FIRST_MEMBER + at as u16).cast_signed()
    }

    /// The word that the distance in an instruction that loads stands for, if it is such a mark.
    pub const fn of_member(distance: i16) -> Option<Self> {
        if distance < FIRST_MEMBER.cast_signed() {
            return None;
        }
        Some(Self {
            table: Table::Offsets,
            at: (distance - FIRST_MEMBER.cast_signed()) as usize,
            bytes: 4,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mark_says_which_word_it_stands_for() {
        for (table, at, bytes) in [
            (Table::Offsets, 0, 4),
            (Table::Offsets, 112, 4),
            (Table::Settings, 40, 8),
            (Table::Settings, 4095, 4),
        ] {
            let word = Word { table, at, bytes };
            assert_eq!(Word::of_mark(word.mark()), Some(word));
        }
        assert_eq!(
            Word::of_member(Word::member(40)),
            Some(Word {
                table: Table::Offsets,
                at: 40,
                bytes: 4
            })
        );
    }

    #[test]
    fn what_is_meant_is_no_mark() {
        for constant in [
            0,
            1,
            u64::MAX,
            0xff51_afd7_ed55_8ccd,
            MARK | 2 << TABLE_SHIFT,
        ] {
            assert_eq!(Word::of_mark(constant), None, "{constant:#x}");
        }
        for distance in [i16::MIN, -8, 0, 0x7bff] {
            assert_eq!(Word::of_member(distance), None, "{distance:#x}");
        }
    }
}
