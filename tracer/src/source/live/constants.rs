//! Writes into the object's instructions what the kernel half's marks stand for.

use aya_obj::generated::{BPF_DW, BPF_IMM, BPF_LD, BPF_LDX};
use object::read::elf::{ElfFile64, SectionHeader as _};
use object::{Endianness, elf};
use tracer_common::constant::{Table, Word};
use tracer_common::settings::{Offsets, Settings};

use super::load::{bytes_of, chain};
use crate::source::Error;

/// An instruction: `struct bpf_insn` of include/uapi/linux/bpf.h.
const INSTRUCTION: usize = 8;

/// The object as this kernel is to have it.
///
/// # Errors
/// When it is none, or a structure of the kernel's is larger than an instruction reaches.
pub(super) fn write(
    object: &[u8],
    offsets: &Offsets,
    settings: &Settings,
) -> Result<Vec<u8>, Error> {
    let failed = |because: String| Error::Kernel {
        doing: "write the kernel's offsets into the eBPF object".to_owned(),
        because,
        advice: "to build the tracer anew".to_owned(),
    };
    let programs = programs(object).map_err(|cause| failed(chain(&cause)))?;
    let value = |word: Word| {
        let bytes = match word.table {
            Table::Offsets => bytes_of(offsets),
            Table::Settings => bytes_of(settings),
        };
        number(bytes.get(word.at..word.at + word.bytes)?)
    };
    let mut written = object.to_vec();
    for range in programs {
        let code = written
            .get_mut(range)
            .ok_or_else(|| failed("a program is not in it".to_owned()))?;
        fill(code, value).map_err(|word| failed(format!("it asks for {word:?}")))?;
    }
    Ok(written)
}

/// Where the object's instructions stand.
fn programs(object: &[u8]) -> Result<Vec<std::ops::Range<usize>>, object::Error> {
    let file = ElfFile64::<Endianness>::parse(object)?;
    let endian = file.endian();
    let sections = file.elf_section_table().iter();
    Ok(sections
        .filter(|section| section.sh_flags(endian) & u64::from(elf::SHF_EXECINSTR) != 0)
        .filter_map(|section| section.file_range(endian))
        .map(|(from, len)| from as usize..(from + len) as usize)
        .collect())
}

fn number(bytes: &[u8]) -> Option<u64> {
    match *bytes {
        [a, b, c, d] => Some(u32::from_ne_bytes([a, b, c, d]).into()),
        [..] => Some(u64::from_ne_bytes(bytes.try_into().ok()?)),
    }
}

/// Fills in the constants of a program.
///
/// # Errors
/// The word that there is not, or that an instruction has no room for.
fn fill(code: &mut [u8], value: impl Fn(Word) -> Option<u64>) -> Result<(), Word> {
    const CONSTANT: u8 = (BPF_LD | BPF_DW | BPF_IMM) as u8;
    let mut at = 0;
    while let Some(instruction) = code.get_mut(at..at + INSTRUCTION) {
        at += INSTRUCTION;
        let operation = instruction[0];
        if operation == CONSTANT {
            // It takes two instructions, with half of the constant each.
            at += INSTRUCTION;
            fill_constant(code, at - 2 * INSTRUCTION, &value)?;
        } else if u32::from(operation & 7) == BPF_LDX {
            let distance = i16::from_le_bytes([instruction[2], instruction[3]]);
            if let Some(word) = Word::of_member(distance) {
                let offset = value(word).and_then(|offset| i16::try_from(offset).ok());
                instruction[2..4].copy_from_slice(&offset.ok_or(word)?.to_le_bytes());
            }
        }
    }
    Ok(())
}

fn fill_constant(
    code: &mut [u8],
    at: usize,
    value: impl Fn(Word) -> Option<u64>,
) -> Result<(), Word> {
    let halves = [at + 4, at + INSTRUCTION + 4];
    let half = |at: usize| {
        let bytes = code.get(at..at + 4)?;
        Some(u64::from(u32::from_le_bytes(bytes.try_into().ok()?)))
    };
    let constant = half(halves[0]).zip(half(halves[1]));
    let word = constant.and_then(|(low, high)| Word::of_mark(low | high << 32));
    if let Some(word) = word {
        let value = value(word).ok_or(word)?.to_le_bytes();
        code[halves[0]..halves[0] + 4].copy_from_slice(&value[..4]);
        code[halves[1]..halves[1] + 4].copy_from_slice(&value[4..]);
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::source::live::load::OBJECT;

    fn words(object: &[u8]) -> Vec<u64> {
        let programs = programs(object).unwrap().into_iter();
        programs
            .flat_map(|range| object[range].chunks_exact(8))
            .map(|word| u64::from_le_bytes(word.try_into().unwrap()))
            .collect()
    }

    fn marks(object: &[u8]) -> usize {
        let mut count = 0;
        for range in programs(object).unwrap() {
            let mut code = object[range].to_vec();
            let met = std::cell::Cell::new(0);
            let counted = |_| {
                met.set(met.get() + 1);
                Some(0)
            };
            fill(&mut code, counted).unwrap();
            count += met.get();
        }
        count
    }

    #[test]
    fn no_mark_is_left_in_the_object() {
        assert!(marks(OBJECT) > 0);
        let written = write(OBJECT, &Offsets::ZERO, &Settings::ZERO).unwrap();
        assert_eq!(written.len(), OBJECT.len());
        assert_eq!(marks(&written), 0);
    }

    #[test]
    fn only_marks_are_written() {
        let written = write(OBJECT, &Offsets::ZERO, &Settings::ZERO).unwrap();
        let (before, after) = (words(OBJECT), words(&written));
        let changed = before.iter().zip(&after).filter(|(a, b)| a != b).count();
        // A constant has its mark in two words, of which the upper one is never 0.
        assert!(changed >= marks(OBJECT));
        assert!(changed <= 2 * marks(OBJECT));
    }

    #[test]
    fn each_mark_becomes_its_word() {
        let word = |table, at, bytes| Word { table, at, bytes };
        let mark = word(Table::Settings, 40, 8).mark();
        let mut code = Vec::new();
        // r1 = the mark ll; r2 = *(u32 *)(r1 + a member); r3 = *(u64 *)(r1 + 8)
        code.extend([0x18, 1, 0, 0]);
        code.extend((mark as u32).to_le_bytes());
        code.extend([0; 4]);
        code.extend(((mark >> 32) as u32).to_le_bytes());
        code.extend([0x61, 0x12]);
        code.extend(Word::member(8).to_le_bytes());
        code.extend([0; 4]);
        code.extend([0x79, 0x13, 8, 0, 0, 0, 0, 0]);
        let before = code.clone();
        fill(&mut code, |word| {
            Some(if word.table == Table::Settings {
                0x1122_3344_5566_7788
            } else {
                192
            })
        })
        .unwrap();
        assert_eq!(code[4..8], [0x88, 0x77, 0x66, 0x55]);
        assert_eq!(code[12..16], [0x44, 0x33, 0x22, 0x11]);
        assert_eq!(code[18..20], [192, 0]);
        assert_eq!(code[24..], before[24..]);
        // An offset that no instruction has room for is an error, and no other member's.
        assert!(fill(&mut before.clone(), |_| Some(1 << 15)).is_err());
    }
}
