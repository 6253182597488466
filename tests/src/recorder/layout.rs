//! Where a tracepoint's fields are, as its `format` file tells, so that every kernel's is right.

use anyhow::{Context, Result};

/// One field of a record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Field {
    offset: usize,
    size: usize,
}

impl Field {
    /// Its value as a number, of up to eight bytes.
    pub(super) fn number(self, record: &[u8]) -> Option<u64> {
        let bytes = record.get(self.offset..self.offset + self.size)?;
        let mut wide = [0; 8];
        wide.get_mut(..self.size)?.copy_from_slice(bytes);
        Some(u64::from_le_bytes(wide))
    }

    /// The text that it points to (`__data_loc`: offset in the low half, length in the high one).
    pub(super) fn text(self, record: &[u8]) -> Option<&[u8]> {
        let place = self.number(record)?;
        let (start, len) = ((place & 0xffff) as usize, (place >> 16) as usize);
        record
            .get(start..start + len)?
            .split(|byte| *byte == 0)
            .next()
    }
}

/// The fields that the lab understands.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Layout {
    pub(super) skb: Option<Field>,
    pub(super) device: Option<Field>,
    pub(super) len: Option<Field>,
    pub(super) gso_segs: Option<Field>,
    pub(super) socket: Option<Field>,
    pub(super) reason: Option<Field>,
}

impl Layout {
    /// The tracepoint's number and layout.
    pub(super) fn parse(format: &str) -> Result<(u16, Self)> {
        let mut layout = Self::default();
        let mut id = None;
        for line in format.lines().map(str::trim) {
            if let Some(number) = line.strip_prefix("ID: ") {
                id = number.parse().ok();
            } else if let Some((name, field)) = parse_field(line) {
                match name {
                    "skbaddr" => layout.skb = Some(field),
                    "name" => layout.device = Some(field),
                    "len" | "data_len" if layout.len.is_none() => layout.len = Some(field),
                    "gso_segs" => layout.gso_segs = Some(field),
                    "skaddr" | "rx_sk" => layout.socket = Some(field),
                    "reason" => layout.reason = Some(field),
                    _ => {}
                }
            }
        }
        Ok((id.context("a format without a number")?, layout))
    }
}

/// A line such as `field:unsigned int len; offset:16; size:4; signed:0;`, with tabs.
fn parse_field(line: &str) -> Option<(&str, Field)> {
    let mut parts = line.strip_prefix("field:")?.split(';').map(str::trim);
    let name = parts.next()?.rsplit([' ', '*']).next()?;
    let number = |part: &str| part.split_once(':')?.1.parse().ok();
    let offset = number(parts.next()?)?;
    let size = number(parts.next()?)?;
    Some((name, Field { offset, size }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_are_where_the_format_says() {
        let format = "name: net_dev_queue
ID: 2304
format:
\tfield:unsigned short common_type;\toffset:0;\tsize:2;\tsigned:0;

\tfield:void * skbaddr;\toffset:8;\tsize:8;\tsigned:0;
\tfield:unsigned int len;\toffset:16;\tsize:4;\tsigned:0;
\tfield:__data_loc char[] name;\toffset:20;\tsize:4;\tsigned:0;
";
        let (id, layout) = Layout::parse(format).unwrap();
        assert_eq!(id, 2304);
        let field = |offset, size| Some(Field { offset, size });
        assert_eq!(layout.skb, field(8, 8));
        assert_eq!(layout.len, field(16, 4));
        assert_eq!(layout.device, field(20, 4));
        assert_eq!(layout.reason, None);

        let mut record = vec![0; 24];
        record[20..24].copy_from_slice(&(0x5_0018u32).to_le_bytes());
        record.extend(b"eth0\0");
        assert_eq!(layout.device.unwrap().text(&record), Some(&b"eth0"[..]));
    }
}
