"""Files that are damaged at random or on purpose: pictures, IDX sets, the art set's archive, files of tensors."""

from __future__ import annotations

import gzip
import io
import json
import os
import random
import struct
import zipfile
import zlib
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from PIL import Image

_FORMATS = {"png": "PNG", "jpg": "JPEG", "gif": "GIF", "webp": "WEBP", "bmp": "BMP", "tiff": "TIFF", "ppm": "PPM"}


def picture(rng: random.Random, suffix: str) -> bytes:
    """A whole picture of that kind, of noise."""
    size = rng.randrange(5, 40), rng.randrange(5, 40)
    mode = rng.choice(["RGB", "L", "P", "RGBA"] if suffix in ("png", "tiff") else ["RGB", "L"])
    pixels = np.frombuffer(rng.randbytes(size[0] * size[1] * 4), np.uint8).reshape(size[1], size[0], 4)
    file = io.BytesIO()
    Image.fromarray(pixels).convert(mode).save(file, _FORMATS[suffix])
    return file.getvalue()


def damaged(rng: random.Random, data: bytes) -> bytes:
    """The same with flipped bits, bytes set to extremes, a piece cut out, doubled or foreign, or its end missing."""
    out = bytearray(data)
    for _ in range(rng.randrange(1, 6)):
        place = rng.randrange(len(out)) if rng.random() < 0.5 else rng.randrange(min(len(out), 64))
        length = rng.randrange(1, 9)
        kind = rng.randrange(6)
        if kind == 0:
            out[place] ^= 1 << rng.randrange(8)
        elif kind == 1:
            out[place : place + length] = rng.choice([b"\x00", b"\xff", b"\x7f"]) * length
        elif kind == 2:
            del out[place : place + length]
        elif kind == 3:
            out[place:place] = out[place : place + 16 * length]
        elif kind == 4:
            out[place : place + length] = rng.randbytes(length)
        else:
            del out[max(1, place) :]
        out = out or bytearray(b"\x00")
    return bytes(out)


def _png(width: int, height: int, rows: bytes = b"") -> bytes:
    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    head = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0))
    return b"\x89PNG\r\n\x1a\n" + head + chunk(b"IDAT", zlib.compress(rows, 9)) + chunk(b"IEND", b"")


def bombs() -> dict[str, bytes]:
    """Small pictures that claim, or unpack to, a lot of memory."""
    gif = bytearray(picture(random.Random(0), "gif"))
    gif[6:10] = struct.pack("<HH", 65535, 65535)
    bmp = bytearray(picture(random.Random(0), "bmp"))
    bmp[18:26] = struct.pack("<ii", 2**31 - 1, 2**31 - 1)
    webp = bytearray(picture(random.Random(0), "webp"))
    webp[26:30] = struct.pack("<HH", 16383, 16383)  # the key frame's width and height
    return {
        "claims.png": _png(2**31 - 1, 2**31 - 1),
        "unpacks.png": _png(30000, 30000, bytes(90_001 * 3000)),
        "text.png": _png(8, 8, bytes(25 * 8))[:33] + _chunk_of_text(50 * 2**20) + _png(8, 8, bytes(25 * 8))[33:],
        "claims.gif": bytes(gif),
        "claims.bmp": bytes(bmp),
        "claims.webp": bytes(webp),
        "claims.ppm": b"P6 99999999 99999999 255\n" + bytes(100),
        "endless.ppm": b"P6 " + b"9" * 100_000,
    }


def _chunk_of_text(size: int) -> bytes:
    data = b"Comment\x00\x00" + zlib.compress(bytes(size), 9)
    return struct.pack(">I", len(data)) + b"zTXt" + data + struct.pack(">I", zlib.crc32(b"zTXt" + data))


def write_pictures(folder: Path, count: int, seed: int = 0) -> list[Path]:
    """`count` damaged pictures and 20 whole ones in a folder, and odd things beside them; returns what is damaged.

    Damage may leave a picture that can still be read.
    """
    rng = random.Random(seed)
    folder.mkdir(parents=True)
    suffixes = list(_FORMATS)
    for i in range(20):
        suffix = suffixes[i % len(suffixes)]
        (folder / f"whole {i} \N{LATIN SMALL LETTER U WITH DIAERESIS}.{suffix}").write_bytes(picture(rng, suffix))
    made = []
    for i in range(count):
        suffix = rng.choice(suffixes)
        data = picture(rng, suffix)
        kind = i % 10
        if kind == 0:
            data = b"" if i % 20 else rng.randbytes(200)
        elif kind == 1:
            suffix = rng.choice(suffixes)  # a wrong name alone is no damage
        else:
            data = damaged(rng, data)
        made.append(folder / f"bad {i}.{suffix}")
        made[-1].write_bytes(data)
    for name, data in bombs().items():
        made.append(folder / f"bomb {name}")
        made[-1].write_bytes(data)
    made += _odd(folder)
    return made


def _odd(folder: Path) -> list[Path]:
    """Links in circles and to nowhere, a pipe, a folder named like a picture, a name that is not UTF-8."""
    made = [folder / name for name in ("self.png", "nowhere.png", "a.png", "b.png", "pipe.png")]
    made[0].symlink_to(made[0])
    made[1].symlink_to(folder / "gone")
    made[2].symlink_to(made[3])
    made[3].symlink_to(made[2])
    os.mkfifo(made[4])
    (folder / "folder.png").mkdir()
    (folder / "folder.png" / "up").symlink_to(folder)
    strange = Path(os.fsdecode(os.fsencode(folder) + b"/\xff\xfe\x1b[31m\n.png"))
    strange.write_bytes(b"no picture")
    sparse = folder / "sparse.png"
    with sparse.open("wb") as file:
        file.truncate(2**40)
    return [*made, folder / "folder.png" / "up", strange, sparse]


def idx_sets(count: int, seed: int = 0) -> Iterator[dict[str, bytes]]:
    """File name -> content of IDX sets, one file of each damaged, half of them gzipped."""
    rng = random.Random(seed)
    images = bytes((0, 0, 8, 3)) + struct.pack(">III", 10, 6, 5) + rng.randbytes(300)
    labels = bytes((0, 0, 8, 1)) + struct.pack(">I", 10) + bytes(range(10))
    names = {f"{split}-{kind}": data for split in ("train", "t10k")
             for kind, data in (("images-idx3-ubyte", images), ("labels-idx1-ubyte", labels))}  # fmt: skip
    for i in range(count):
        zipped = i % 2 == 1
        files = {name: gzip.compress(data) if zipped else data for name, data in names.items()}
        target = rng.choice(sorted(files))
        files[target] = damaged(rng, files[target])
        yield files
    huge = bytes((0, 0, 8, 3)) + struct.pack(">III", 2**32 - 1, 2**32 - 1, 2**32 - 1)
    large = bytes((0, 0, 8, 3)) + struct.pack(">III", 60000, 300, 300)
    for content in (
        huge,
        large,
        gzip.compress(images + bytes(2**28)),
        gzip.compress(large + bytes(2**20)),
        b"\x1f\x8b",
    ):
        yield names | {"train-images-idx3-ubyte": content}


def archives(whole: bytes, count: int, seed: int = 0) -> Iterator[bytes]:
    """Damaged copies of a .npz file, with some that hold a pickle, or unpack to far more than they are."""
    rng = random.Random(seed)
    for _ in range(count):
        yield damaged(rng, whole)
    objects, bomb = io.BytesIO(), io.BytesIO()
    np.savez(objects, x=np.array([{"an": "object"}], dtype=object), allow_pickle=True)
    yield objects.getvalue()
    with (
        zipfile.ZipFile(bomb, "w", zipfile.ZIP_DEFLATED) as archive,
        archive.open("x.npy", "w", force_zip64=True) as file,
    ):
        np.lib.format.write_array_header_1_0(file, {"descr": "|u1", "fortran_order": False, "shape": (2**31,)})
        for _ in range(2**11):
            file.write(bytes(2**20))
    yield bomb.getvalue()
    claim = io.BytesIO()
    with zipfile.ZipFile(claim, "w") as archive, archive.open("x.npy", "w") as file:
        np.lib.format.write_array_header_1_0(file, {"descr": "|u1", "fortran_order": False, "shape": (2**62,)})
    yield claim.getvalue()
    yield b""
    yield b"PK\x05\x06" + bytes(18)


def tensor_files(count: int, seed: int = 0) -> Iterator[tuple[str, bytes]]:
    """(suffix, content) of damaged .safetensors and .pth files, and of hostile ones."""
    rng = random.Random(seed)
    header = json.dumps({"w": {"dtype": "F32", "shape": [5, 4], "data_offsets": [0, 80]}}).encode()
    safe = struct.pack("<Q", len(header)) + header + rng.randbytes(80)
    for _ in range(count):
        yield ".safetensors", damaged(rng, safe)
    for shape, offsets in (([2**40, 2**20], [0, 80]), ([5, -4], [0, 80]), ([5, 4], [-80, 0]), ([5, 4], [0, 2**62])):
        entry = json.dumps({"w": {"dtype": "F32", "shape": shape, "data_offsets": offsets}}).encode()
        yield ".safetensors", struct.pack("<Q", len(entry)) + entry + bytes(80)
    yield ".safetensors", struct.pack("<Q", 2**62) + header
    yield ".safetensors", struct.pack("<Q", 300_000) + b"[" * 300_000
    bomb = io.BytesIO()
    with zipfile.ZipFile(bomb, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("x/data.pkl", bytes(2**28))
    yield ".pth", bomb.getvalue()
    for _ in range(count // 4):
        yield ".pth", damaged(rng, b"\x80\x02\x8a\nl\xfc\x9cF\xf9 j\xa8P\x19.\x80\x02M\xe9\x03.\x80\x02}q\x00.")
