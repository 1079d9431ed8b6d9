//! Whether a v0.90 array is of this host: the reference puts the start of the host name's SHA-1 into the uuid's second half.

use super::{Order, SuperV0};
use crate::superblock::field::get;
use crate::uuid::Uuid;

/// Words of the uuid that carry the hash: the last two.
const HASH_WORDS: [usize; 2] = [super::word::SET_UUID1 + 1, super::word::SET_UUID1 + 2];

/// Whether the uuid's second half is the hash of this host's name.
#[must_use]
pub fn is_local(sb: &SuperV0, host: &str) -> bool {
    let hash = sha1(host.as_bytes());
    let stored = HASH_WORDS.into_iter().flat_map(|n| sb.word(n).to_le_bytes());
    !host.is_empty() && stored.eq(hash.into_iter().take(8))
}

/// Puts the hash of a host's name into the second half of the uuid.
#[must_use]
pub fn mark_host(uuid: Uuid, host: &str) -> Uuid {
    let mut sb = SuperV0::empty(Order::Little);
    sb.put_uuid(uuid);
    for (n, bytes) in HASH_WORDS.into_iter().zip(sha1(host.as_bytes()).chunks_exact(4)) {
        sb.put_word(n, u32::from_le_bytes(get(bytes, 0)));
    }
    sb.uuid()
}

/// SHA-1 (RFC 3174) of a short text.
fn sha1(text: &[u8]) -> [u8; 20] {
    let mut message = text.to_vec();
    message.push(0x80);
    while message.len() % 64 != 56 {
        message.push(0);
    }
    message.extend((text.len() as u64 * 8).to_be_bytes());
    let mut state = [0x6745_2301u32, 0xefcd_ab89, 0x98ba_dcfe, 0x1032_5476, 0xc3d2_e1f0];
    message.chunks_exact(64).for_each(|block| mix(&mut state, block));
    let mut out = [0u8; 20];
    for (dst, word) in out.chunks_exact_mut(4).zip(state) {
        dst.copy_from_slice(&word.to_be_bytes());
    }
    out
}

fn mix(state: &mut [u32; 5], block: &[u8]) {
    let mut words: Vec<u32> =
        block.chunks_exact(4).map(|b| u32::from_be_bytes(b.try_into().unwrap_or_default())).collect();
    for n in 16..80usize {
        let back = |k: usize| n.checked_sub(k).and_then(|i| words.get(i)).copied().unwrap_or(0);
        words.push((back(3) ^ back(8) ^ back(14) ^ back(16)).rotate_left(1));
    }
    let [mut a, mut b, mut c, mut d, mut e] = *state;
    for (n, word) in words.into_iter().enumerate() {
        let (f, k) = match n {
            0..=19 => ((b & c) | (!b & d), 0x5a82_7999),
            20..=39 => (b ^ c ^ d, 0x6ed9_eba1),
            40..=59 => ((b & c) | (b & d) | (c & d), 0x8f1b_bcdc_u32),
            _ => (b ^ c ^ d, 0xca62_c1d6),
        };
        let next = a.rotate_left(5).wrapping_add(f).wrapping_add(e).wrapping_add(k).wrapping_add(word);
        (e, d, c, b, a) = (d, c, b.rotate_left(30), a, next);
    }
    for (sum, add) in state.iter_mut().zip([a, b, c, d, e]) {
        *sum = sum.wrapping_add(add);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_hash_is_sha1() {
        let hex = |text: &str| sha1(text.as_bytes()).iter().map(|b| format!("{b:02x}")).collect::<String>();
        assert_eq!(hex("abc"), "a9993e364706816aba3e25717850c26c9cd0d89d");
        assert_eq!(hex(""), "da39a3ee5e6b4b0d3255bfef95601890afd80709");
        assert_eq!(
            hex("abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq"),
            "84983e441c3bd26ebaae4aa1f95129e5e54670f1"
        );
    }

    #[test]
    fn an_array_of_a_host_is_known_by_its_uuid() {
        // Made by the reference on a host named "(none)".
        let mut sb = SuperV0::empty(Order::Little);
        sb.put_uuid(Uuid::parse("b0d78ece:e0c56e8e:3d186b3c:53958f34").unwrap());
        assert!(is_local(&sb, "(none)"));
        assert!(!is_local(&sb, "other") && !is_local(&sb, ""));
        let uuid = Uuid::parse("b0d78ece:e0c56e8e:00000000:00000000").unwrap();
        assert_eq!(mark_host(uuid, "(none)"), sb.uuid());
    }
}
