//! Decodes the status of an answer from the beginning of its header block (RFC 7541).

/// Decodes a header block's first field (RFC 7541), which is `:status` in an answer; its name has the numbers 8 to 14.
pub(super) fn decode_status(mut block: &[u8]) -> Option<u16> {
    const INDEXED: [u16; 7] = [200, 204, 206, 304, 400, 404, 500];
    // A change of the table's size comes first.
    while let [first, rest @ ..] = block
        && first & 0xe0 == 0x20
    {
        block = rest;
    }
    let (first, rest) = block.split_first()?;
    if first & 0x80 != 0 {
        let at = usize::from(first & 0x7f).checked_sub(8)?;
        return INDEXED.get(at).copied();
    }
    let name = if first & 0x40 != 0 {
        first & 0x3f
    } else {
        first & 0x0f
    };
    if !(8..=14).contains(&name) {
        return None;
    }
    let (length, text) = rest.split_first()?;
    let text = text.get(..usize::from(length & 0x7f))?;
    let digits = if length & 0x80 != 0 {
        huffman_digits(text)?
    } else {
        text.to_vec()
    };
    let is_status = digits.len() == 3 && digits.iter().all(u8::is_ascii_digit);
    is_status.then(|| {
        digits
            .iter()
            .fold(0, |sum, digit| sum * 10 + u16::from(digit - b'0'))
    })
}

/// Decodes digits in HPACK's Huffman code: 0 to 2 have five bits, 3 to 9 have six.
fn huffman_digits(text: &[u8]) -> Option<Vec<u8>> {
    let bits: Vec<u8> = text
        .iter()
        .flat_map(|byte| (0..8).rev().map(move |at| byte >> at & 1))
        .collect();
    let number = |bits: &[u8]| bits.iter().fold(0, |sum, bit| sum << 1 | bit);
    let mut bits = &bits[..];
    let mut digits = Vec::new();
    while digits.len() < 3 {
        let short = number(bits.get(..5)?);
        let (digit, length) = if short < 3 {
            (short, 5)
        } else {
            let long = number(bits.get(..6)?);
            (long.checked_sub(0b01_1001)?.checked_add(3)?, 6)
        };
        if digit > 9 {
            return None;
        }
        digits.push(b'0' + digit);
        bits = &bits[length..];
    }
    // The rest of the last byte is filled with ones.
    (bits.len() < 8 && bits.iter().all(|bit| *bit == 1)).then_some(digits)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_status_is_read_in_each_of_its_codings() {
        for (block, expected) in [
            (&[0x88][..], Some(200)),
            (&[0x8e], Some(500)),
            // A changed size of the table comes first.
            (&[0x20, 0x89], Some(204)),
            // Literals: with indexing, without, and never indexed.
            (b"\x48\x03201", Some(201)),
            (b"\x08\x03429", Some(429)),
            (b"\x1e\x03503", Some(503)),
            // In Huffman's code: 201, 307 (RFC 7541 C.6 has 302 and 307) and 999.
            (&[0x48, 0x82, 0x10, 0x03], Some(201)),
            (&[0x48, 0x83, 0x64, 0x0e, 0xff], Some(307)),
            (&[0x48, 0x82, 0x64, 0x02], Some(302)),
            (&[0x48, 0x83, 0x7d, 0xf7, 0xff], Some(999)),
            // Not a status.
            (&[0x90], None),
            (b"\x48\x0320", None),
            (b"\x48\x03abc", None),
            (b"\x48\x82\xff\xff", None),
            (b"\x0f\x03200", None),
            (&[], None),
        ] {
            assert_eq!(decode_status(block), expected, "{block:x?}");
        }
    }
}
