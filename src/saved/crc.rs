//! CRC-32C (Castagnoli), as in iSCSI and in md's own logs: the checksum of saved files.

/// The polynomial, bits reversed.
const POLY: u32 = 0x82f6_3b78;

const TABLE: [u32; 256] = table();

#[allow(clippy::indexing_slicing)]
const fn table() -> [u32; 256] {
    let mut table = [0u32; 256];
    let mut n = 0u32;
    while n < 256 {
        let (mut crc, mut bit) = (n, 0);
        while bit < 8 {
            crc = if crc & 1 == 1 { (crc >> 1) ^ POLY } else { crc >> 1 };
            bit += 1;
        }
        table[n as usize] = crc;
        n += 1;
    }
    table
}

/// The checksum of these bytes.
#[must_use]
pub fn crc32c(bytes: &[u8]) -> u32 {
    !bytes.iter().fold(u32::MAX, |crc, b| {
        let [low, ..] = crc.to_le_bytes();
        (crc >> 8) ^ TABLE.get(usize::from(low ^ b)).copied().unwrap_or(0)
    })
}

#[cfg(test)]
mod tests {
    use super::crc32c;

    #[test]
    fn the_check_values_of_rfc_3720_come_out() {
        assert_eq!(crc32c(b"123456789"), 0xe306_9283);
        assert_eq!(crc32c(&[0; 32]), 0x8a91_36aa);
        assert_eq!(crc32c(&[0xff; 32]), 0x62a8_ab43);
        assert_eq!(crc32c(b""), 0);
    }
}
