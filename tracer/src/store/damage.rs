//! What of redb's errors means that the file is damaged.

use std::io;

use redb::Error;

/// Whether the file itself is wrong, and not the system.
pub(super) fn is_damage(cause: &Error) -> bool {
    match cause {
        Error::Io(cause) => is_no_journal(cause),
        Error::Corrupted(_)
        | Error::UpgradeRequired(_)
        | Error::TableTypeMismatch { .. }
        | Error::TableIsMultimap(_)
        | Error::TypeDefinitionChanged { .. }
        | Error::RepairAborted => true,
        _ => false,
    }
}

/// How redb says that a file is not one of its own, or ends too early.
pub(super) fn is_no_journal(cause: &io::Error) -> bool {
    matches!(
        cause.kind(),
        io::ErrorKind::InvalidData | io::ErrorKind::UnexpectedEof
    )
}
