"""What the readers of zip files share: the record at the end, and what zipfile raises for a damaged file."""

import struct
import zipfile
import zlib
from typing import Final

END: Final = struct.Struct("<4s4H2LH")
"""The end of a zip file: signature, two disk numbers, entries on this disk, entries, size and offset of the directory,
length of the comment (APPNOTE.TXT 4.3.16)."""
END_SIGNATURE: Final = b"PK\x05\x06"
LOCATOR: Final = struct.Struct("<4sLQL")
"""Stands before it and announces the 64-bit one (4.3.15)."""
LOCATOR_SIGNATURE: Final = b"PK\x06\x07"

ZIP_ERRORS: Final = (
    zipfile.BadZipFile,
    zlib.error,
    EOFError,
    RuntimeError,  # encrypted; its NotImplementedError is another version or kind of packing
    ValueError,
    OverflowError,
    struct.error,
)
"""What zipfile raises for a damaged file."""
