//! Little-endian integers at named offsets of a byte buffer.

/// `N` bytes at `offset`; zeros where the buffer ends before (callers keep buffers of fixed size, so it does not).
#[must_use]
pub fn get<const N: usize>(raw: &[u8], offset: usize) -> [u8; N] {
    offset.checked_add(N).and_then(|end| raw.get(offset..end)).and_then(|s| s.try_into().ok()).unwrap_or([0; N])
}

/// Stores `value` at `offset`; nothing where the buffer ends before.
pub fn put(raw: &mut [u8], offset: usize, value: &[u8]) {
    if let Some(dst) = offset.checked_add(value.len()).and_then(|end| raw.get_mut(offset..end)) {
        dst.copy_from_slice(value);
    }
}

/// Defines a getter and a setter for a little-endian integer field of a struct with a `raw` buffer.
macro_rules! le_fields {
    ($($(#[$doc:meta])* $get:ident / $set:ident : $ty:ty = $offset:expr;)*) => {
        $(
            $(#[$doc])*
            #[must_use]
            pub fn $get(&self) -> $ty {
                <$ty>::from_le_bytes($crate::superblock::field::get(&self.raw[..], $offset))
            }

            #[doc = concat!("Sets [`Self::", stringify!($get), "`].")]
            pub fn $set(&mut self, value: $ty) {
                $crate::superblock::field::put(&mut self.raw[..], $offset, &value.to_le_bytes());
            }
        )*
    };
}
pub(crate) use le_fields;
