"""Run-length encodings of masks: COCO's, as numbers and as text, and Label Studio's bits.

COCO's are those of its ``common/maskApi.c``. Its own library (pycocotools 2.0.11) writes past its
memory when a text holds too few runs, and never ends on a polygon with NaN; files that people send
each other need a reader that checks. All functions raise ValueError with what is wrong; readers add
the file.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

_LOW, _SIGN, _MORE, _ZERO = 0x1F, 0x10, 0x20, 48  # of a character of COCO's text
_CHANNELS, _ALPHA = 4, 3  # Label Studio encodes RGBA and means the opacity
_LONGEST = 12  # characters of one number: 60 bits


def decode_counts(counts: Sequence[int] | np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """COCO's runs of zeros and ones in turn, down the columns, as a mask.

    Args:
        counts: lengths of the runs, zeros first.
        size: (height, width) of the mask.

    Returns:
        (H, W) bool.

    Raises:
        ValueError: a length is not a whole number of 0 or more, or their sum is another size.
    """
    height, width = size
    try:
        lengths = np.asarray(counts)
    except (ValueError, OverflowError) as error:
        raise ValueError("its run lengths are not numbers") from error
    if lengths.size and (lengths.ndim != 1 or lengths.dtype.kind not in "iu" or lengths.min() < 0):
        raise ValueError("its run lengths are not whole numbers of 0 or more")
    # As floats, which do not wrap around: the sum of two lengths of 2⁶³ must not be small.
    total = int(lengths.sum(dtype=np.float64)) if lengths.size else 0
    if total != height * width:
        raise ValueError(
            f"its runs make {total} pixels; expected {height * width} for {height}×{width}"
        )
    values = np.arange(len(lengths)) % 2 == 1
    return np.repeat(values, lengths.astype(np.int64)).reshape(width, height).T


def encode_counts(mask: np.ndarray) -> list[int]:
    """The runs of ``decode_counts`` for a mask (H, W) bool."""
    flat = np.asarray(mask, bool).T.reshape(-1)
    edges = np.flatnonzero(np.diff(flat)) + 1
    lengths = np.diff(np.concatenate([[0], edges, [flat.size]])).tolist()
    return [0, *lengths] if flat.size and flat[0] else lengths


def text_to_counts(text: str | bytes) -> list[int]:
    """COCO's text of run lengths as numbers.

    Each number is written in groups of 5 bits, lowest first, a character each; from the fourth on
    it is the difference to the last but one (``rleFrString``).

    Raises:
        ValueError: a character is none of the 64, or the text ends within a number.
    """
    data = text.encode("utf-8", "replace") if isinstance(text, str) else text
    counts: list[int] = []
    number = digits = 0
    for character in data:
        value = character - _ZERO
        if not 0 <= value < 64:
            raise ValueError(f"its text holds {chr(character)!r}, which no run length is made of")
        number |= (value & _LOW) << (5 * digits)
        digits += 1
        if value & _MORE:
            if digits > _LONGEST:
                raise ValueError("its text holds a run length of more than 60 bits")
            continue
        if value & _SIGN:
            number -= 1 << (5 * digits)
        if len(counts) > 2:
            number += counts[-2]
        counts.append(number)
        number = digits = 0
    if digits:
        raise ValueError("its text ends within a run length")
    return counts


def counts_to_text(counts: Sequence[int]) -> str:
    """Run lengths as COCO's text (``rleToString``)."""
    characters: list[str] = []
    for index, count in enumerate(counts):
        number = count - counts[index - 2] if index > 2 else count
        while True:
            value = number & _LOW
            number >>= 5
            more = number != (-1 if value & _SIGN else 0)
            characters.append(chr(_ZERO + value + (_MORE if more else 0)))
            if not more:
                break
    return "".join(characters)


def decode_label_studio(rle: Sequence[int], size: tuple[int, int]) -> np.ndarray:
    """Label Studio's brush strokes as a mask.

    The bits are those of ``@thi.ng/rle-pack``: 32 for the number of values, 5 for the bits a value
    has (less one), four times 4 for the sizes of run lengths (less one); then runs of a flag, 2
    bits for which size, the length (less one), and one value if the flag is set, else one each.
    label-studio-converter's ``brush.decode_rle`` reads them the same way. The values are RGBA of
    the pixels along the rows; what is not transparent belongs to the stroke.

    Args:
        rle: bytes as numbers.
        size: (height, width) of the image.

    Returns:
        (H, W) bool.

    Raises:
        ValueError: it holds anything but bytes, ends too early, or is of another size.
    """
    height, width = size
    try:
        data = bytes(list(rle))  # of a bare number, bytes() would make as many zeros
    except (TypeError, ValueError) as error:
        raise ValueError("its rle is not a list of bytes") from error
    bits = _Bits(data)
    total = bits.read(32)
    if total != height * width * _CHANNELS:
        raise ValueError(
            f"its rle makes {total} values; expected {height * width * _CHANNELS} for "
            f"{height}×{width} pixels of RGBA"
        )
    word = bits.read(5) + 1
    sizes = [bits.read(4) + 1 for _ in range(4)]
    values = np.empty(total, bool)
    start = 0
    while start < total:
        alike = bits.read(1)
        end = start + 1 + bits.read(sizes[bits.read(2)])
        if end > total:
            raise ValueError(f"its rle makes more than {total} values")
        if alike:
            values[start:end] = bits.read(word) > 0
        else:
            values[start:end] = [bits.read(word) > 0 for _ in range(end - start)]
        start = end
    return values.reshape(height, width, _CHANNELS)[..., _ALPHA]


class _Bits:
    """Reads numbers of some bits each, the highest bit first."""

    def __init__(self, data: bytes) -> None:
        self._digits = np.unpackbits(np.frombuffer(data, np.uint8)).tobytes().translate(_DIGITS)
        self._at = 0

    def read(self, count: int) -> int:
        start, self._at = self._at, self._at + count
        if self._at > len(self._digits):
            raise ValueError("its rle ends too early")
        return int(self._digits[start : self._at], 2)


_DIGITS = bytes.maketrans(b"\0\1", b"01")
