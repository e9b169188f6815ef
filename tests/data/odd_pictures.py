"""Odd but sound pictures, and broken ones, with what each must give."""

import io
import struct
import zlib

import numpy as np
from PIL import Image, ImageCms

H, W = 60, 80
Image.init()


def base(seed=0):
    """Three slopes and a disc: uint8 (60, 80, 3)."""
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[:H, :W]
    pixels = np.stack([x * 255 / W, y * 255 / H, (x + y) * 255 / (W + H)], -1)
    cx, cy = rng.integers(10, W - 10), rng.integers(10, H - 10)
    pixels[(x - cx) ** 2 + (y - cy) ** 2 < 100] = rng.integers(0, 255, 3)
    return pixels.clip(0, 255).astype(np.uint8)


RGB = base()
IMAGE = Image.fromarray(RGB)
GREY = np.asarray(IMAGE.convert("L"))
WHITE = np.full_like(RGB, 255)


def encoded(image, fmt, **options):
    file = io.BytesIO()
    image.save(file, fmt, **options)
    return file.getvalue()


def chunk(kind, data):
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def png(samples, color, *between, bits=16):
    """A PNG by hand: samples (height, width, channels), color type, chunks before the pixels."""
    height, width = samples.shape[:2]
    rows = b"".join(b"\0" + row.astype(">u2" if bits == 16 else np.uint8).tobytes() for row in samples)
    head = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, bits, color, 0, 0, 0))
    return b"\x89PNG\r\n\x1a\n" + head + b"".join(between) + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b"")


def tiff(samples, bits, photometric=1, sample_format=1):
    """An uncompressed TIFF by hand: bytes or an array of samples (60, 80, channels), little-endian."""
    channels = 1 if isinstance(samples, bytes) else samples.shape[2]
    data = samples if isinstance(samples, bytes) else samples.tobytes()
    tags = [
        (256, 3, 1, W),
        (257, 3, 1, H),
        (258, 3, 1, bits),
        (259, 3, 1, 1),
        (262, 3, 1, photometric),
        (273, 4, 1, 0),
        (277, 3, 1, channels),
        (278, 3, 1, H),
        (279, 4, 1, len(data)),
        (339, 3, 1, sample_format),
    ]
    start = 8 + 2 + 12 * len(tags) + 4
    extra = b""
    if channels == 3:
        extra = struct.pack("<HHH", bits, bits, bits) + struct.pack("<HHH", *[sample_format] * 3)
    entries = []
    for tag, kind, count, value in tags:
        if channels == 3 and tag in (258, 339):
            count, kind, value = 3, 3, start + (6 if tag == 339 else 0)
            entries.append(struct.pack("<HHII", tag, kind, count, value))
            continue
        value = start + len(extra) if tag == 273 else value
        entries.append(
            struct.pack("<HHIHH" if kind == 3 else "<HHII", tag, kind, count, *([value, 0] if kind == 3 else [value]))
        )
    return b"II*\0" + struct.pack("<IH", 8, len(tags)) + b"".join(entries) + bytes(4) + extra + data


def packed12(values):
    """12-bit values as TIFF packs them, two in three bytes; uint16 (height, width), an even width."""
    a, b = values[:, ::2].astype(int), values[:, 1::2].astype(int)
    return np.stack([a >> 4, (a & 15) << 4 | b >> 8, b & 255], -1).astype(np.uint8).tobytes()


def _xyz(values):
    return b"XYZ " + bytes(4) + struct.pack(">3i", *(round(v * 65536) for v in values))


def icc(matrix, gamma=None):
    """A display's ICC profile (version 2): columns of D50 XYZ for red, green, blue; a gamma, or sRGB's curve."""
    if gamma:
        curve = b"curv" + bytes(4) + struct.pack(">IH", 1, round(gamma * 256)) + bytes(2)
    else:
        x = np.arange(1024) / 1023
        y = np.where(x <= 0.04045, x / 12.92, ((x + 0.055) / 1.055) ** 2.4)
        curve = b"curv" + bytes(4) + struct.pack(">I", 1024) + (y * 65535).round().astype(">u2").tobytes()
    parts = [(name, _xyz(column)) for name, column in zip((b"rXYZ", b"gXYZ", b"bXYZ"), matrix, strict=True)]
    return _profile(b"RGB XYZ ", parts + [(name, curve) for name in (b"rTRC", b"gTRC", b"bTRC")])


def _profile(spaces, tags):
    """A profile of these colour spaces, with what every one has besides its tags."""
    text = b"desc" + bytes(4) + struct.pack(">I", 5) + b"Test\0" + bytes(4 + 4 + 2 + 1 + 67)
    parts = [(b"desc", text), (b"cprt", b"text" + bytes(4) + b"CC0\0"), (b"wtpt", _xyz((0.9642, 1.0, 0.8249))), *tags]
    parts = [(name, content + bytes(-len(content) % 4)) for name, content in parts]
    place, table, body = 128 + 4 + 12 * len(parts), b"", b""
    for name, content in parts:
        table += name + struct.pack(">II", place + len(body), len(content))
        body += content
    head = (
        struct.pack(">I", place + len(body))
        + bytes(4)
        + bytes([2, 0x40, 0, 0])
        + (b"prtr" if b"CMYK" in spaces else b"mntr")
    )
    head += spaces + bytes(12)
    head += b"acsp" + bytes(28) + _xyz((0.9642, 1.0, 0.8249))[8:]
    return head.ljust(128, b"\0") + struct.pack(">I", len(parts)) + table + body


def grey_icc(gamma):
    """A grey profile."""
    return _profile(b"GRAYXYZ ", [(b"kTRC", b"curv" + bytes(4) + struct.pack(">IH", 1, round(gamma * 256)) + bytes(2))])


def black_ink_icc():
    """A CMYK profile in which only black shows: L* falls from 100 to 0 with it."""
    corners = [(0 if index & 1 else 255, 128, 128) for index in range(16)]  # the last ink varies fastest
    ramp = bytes(range(256))
    unit = struct.pack(">9i", *(65536 * (i % 4 == 0) for i in range(9)))
    table = b"mft1" + bytes(4) + bytes([4, 3, 2, 0]) + unit + 4 * ramp + bytes(sum(corners, ())) + 3 * ramp
    return _profile(b"CMYKLab ", [(b"A2B0", table)])


DISPLAY_P3 = icc(((0.5151, 0.2412, -0.0011), (0.2920, 0.6922, 0.0419), (0.1571, 0.0666, 0.7841)))
ADOBE_RGB = icc(((0.6097, 0.3111, 0.0195), (0.2053, 0.6257, 0.0609), (0.1492, 0.0632, 0.7446)), gamma=563 / 256)
SRGB = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()


def exif(orientation):
    tags = Image.Exif()
    tags[0x0112] = orientation
    return tags


def animation(fmt, first=IMAGE):
    return encoded(first, fmt, save_all=True, append_images=[Image.fromarray(base(i)) for i in (1, 2)])


def _lab():
    to_lab = ImageCms.buildTransform(ImageCms.createProfile("sRGB"), ImageCms.createProfile("LAB"), "RGB", "LAB")
    return ImageCms.applyTransform(IMAGE, to_lab)


def over_white(rgb, alpha):
    return np.rint(rgb * (alpha / 255.0) + 255 * (1 - alpha / 255.0))


GREY3 = np.repeat(GREY[..., None], 3, -1)
G16 = GREY.astype(np.uint16) * 257
RGB16 = RGB.astype(np.uint16) * 257
SLOPE = np.tile(np.linspace(0, 255, W).astype(np.uint8), (H, 1))[..., None]
PALETTE = IMAGE.convert("P", palette=Image.Palette.ADAPTIVE)
_INDEX = np.asarray(PALETTE)[..., None]
_COLORS = np.asarray(PALETTE.convert("RGB"))
ONE = np.repeat(np.asarray(IMAGE.convert("1"))[..., None] * np.uint8(255), 3, -1)
TURNED = {"exif6": 6}
_bits12 = chunk(b"sBIT", bytes([12]))
_upright = Image.fromarray(RGB).rotate(90, expand=True)  # stored so that orientation 6 shows RGB

SOUND = {
    # name: (file, pixels it must give, how far off any level may be)
    "cmyk.jpg": (encoded(IMAGE.convert("CMYK"), "JPEG", quality=95), RGB, 40),
    "cmyk.tif": (encoded(IMAGE.convert("CMYK"), "TIFF"), RGB, 1),
    "lab.tif": (encoded(_lab(), "TIFF"), RGB, 40),
    "pal_trans.png": (encoded(PALETTE, "PNG", transparency=0), np.where(_INDEX == 0, 255, _COLORS), 0),
    "pal_bytes.png": (
        encoded(PALETTE, "PNG", transparency=bytes([0, 128] + [255] * 254)),
        over_white(_COLORS, np.select([_INDEX == 0, _INDEX == 1], [0, 128], 255)),
        1,
    ),
    "la.png": (encoded(IMAGE.convert("LA"), "PNG"), GREY3, 0),
    "l.png": (encoded(IMAGE.convert("L"), "PNG"), GREY3, 0),
    "one.png": (encoded(IMAGE.convert("1"), "PNG"), ONE, 0),
    "one.tif": (encoded(IMAGE.convert("1"), "TIFF", compression="group4"), ONE, 0),
    "g16.png": (encoded(Image.fromarray(G16), "PNG"), GREY3, 0),
    "g16.tif": (encoded(Image.fromarray(G16), "TIFF"), GREY3, 0),
    "white_is_zero.tif": (tiff((65535 - G16)[..., None], 16, photometric=0), GREY3, 0),
    "g12_sbit.png": (png((G16 >> 4)[..., None], 0, _bits12), GREY3, 1),
    "g12_sbit_scaled.png": (png((G16 >> 4 << 4 | G16 >> 12)[..., None], 0, _bits12), GREY3, 1),
    "rgb12_sbit.png": (png(RGB16 >> 4, 2, chunk(b"sBIT", bytes([12, 12, 12]))), RGB, 1),
    "g12.tif": (tiff(packed12(G16 >> 4), 12), GREY3, 1),
    "max1023.pgm": (b"P5\n80 60\n1023\n" + (G16 >> 6).astype(">u2").tobytes(), GREY3, 1),
    "max4095.ppm": (b"P6\n80 60\n4095\n" + (RGB16 >> 4).astype(">u2").tobytes(), RGB, 1),
    "UPPER.JPEG": (encoded(IMAGE, "JPEG", quality=95), RGB, 40),
    "prog.jpg": (encoded(IMAGE, "JPEG", quality=95, progressive=True), RGB, 40),
    "exif6.jpg": (encoded(_upright, "JPEG", quality=95, exif=exif(6)), RGB, 40),
    "exif6.png": (encoded(_upright, "PNG", exif=exif(6)), RGB, 0),
    "exif6.webp": (encoded(_upright, "WEBP", lossless=True, exif=exif(6)), RGB, 0),
    "exif99.jpg": (encoded(IMAGE, "JPEG", quality=95, exif=exif(99)), RGB, 40),
    "anim.gif": (animation("GIF"), RGB, 40),
    "anim.webp": (
        encoded(IMAGE, "WEBP", save_all=True, append_images=[Image.fromarray(base(1))], lossless=True),
        RGB,
        0,
    ),
    "anim.png": (animation("PNG"), RGB, 0),
    "multi.tif": (animation("TIFF"), RGB, 0),
    "j2k.jp2": (encoded(IMAGE, "JPEG2000"), RGB, 0),
    "mpo.jpg": (encoded(IMAGE, "MPO", save_all=True, append_images=[Image.fromarray(base(1))], quality=95), RGB, 40),
    "srgb.png": (encoded(IMAGE, "PNG", icc_profile=SRGB), RGB, 0),
    "broken_profile.png": (encoded(IMAGE, "PNG", icc_profile=SRGB[:200]), RGB, 0),
    "rgba_grad.png": (encoded(Image.fromarray(np.dstack([RGB, SLOPE])), "PNG"), over_white(RGB, SLOPE), 1),
    "rgb16.png": (png(RGB16, 2), RGB, 0),
    "g16trns.png": (png(G16[..., None], 0, chunk(b"tRNS", struct.pack(">H", 0))), np.where(GREY3 == 0, 255, GREY3), 0),
    "rgb16trns.png": (
        png(RGB16 + np.uint16([0, 0, 1]) * (SLOPE > 127), 2, chunk(b"tRNS", struct.pack(">HHH", *RGB16[0, 0]))),
        np.where((RGB[0, 0] == RGB).all(-1, keepdims=True) & (SLOPE <= 127), 255, RGB),
        0,
    ),
    "la16.png": (png(np.dstack([G16, np.full_like(G16, 65535)]), 4), GREY3, 0),
    "long_text.png": (png(RGB, 2, chunk(b"zTXt", b"Comment\0\0" + zlib.compress(bytes(3 * 2**20))), bits=8), RGB, 0),
    "many_texts.png": (png(RGB, 2, chunk(b"tEXt", b"Comment\0" + b"x" * 10**6) * 70, bits=8), RGB, 0),
    "xmp6.png": (
        png(
            np.asarray(_upright),
            2,
            chunk(b"iTXt", b'XML:com.adobe.xmp\0\0\0\0\0<x tiff:Orientation="6"/>'),
            chunk(b"zTXt", b"Comment\0\0" + zlib.compress(bytes(3 * 2**20))),
            bits=8,
        ),
        RGB,
        0,
    ),
}
"""Read without a word (but `broken_profile.png`)."""
if "AVIF" in Image.SAVE:  # from Pillow 11.3 on
    SOUND["avif.avif"] = encoded(IMAGE, "AVIF", quality=95), RGB, 60

_jpeg = encoded(IMAGE, "JPEG", quality=95)
_gif = encoded(IMAGE, "GIF")
_blank = Image.new("RGB", (W, H), "white")
NOTED = {
    # name: (file, pixels, tolerance, words of the note)
    "g12in16.png": (encoded(Image.fromarray(G16 >> 4), "PNG"), GREY3 // 16, 1, "no depth declared"),
    "rgb12in16.png": (png(RGB16 >> 4, 2), RGB // 16, 1, "no depth declared"),
    "g12in16.tif": (encoded(Image.fromarray(G16 >> 4), "TIFF"), GREY3 // 16, 1, "no depth declared"),
    "i32.tif": (encoded(Image.fromarray(G16.astype(np.int32)), "TIFF"), GREY3, 0, "32-bit whole numbers"),
    "no_eoi.jpg": (_jpeg[:-2], RGB, 40, "end marker is missing"),
    "half_eoi.jpg": (_jpeg[:-1], RGB, 40, "end marker is missing"),
    "no_eoi_prog.jpg": (encoded(IMAGE, "JPEG", quality=95, progressive=True)[:-2], RGB, 40, "end marker is missing"),
    "no_iend.png": (encoded(IMAGE, "PNG")[:-12], RGB, 0, "end marker is missing"),
    "no_trailer.gif": (_gif[:-1], RGB, 30, "end marker is missing"),
    "rgba_all0.png": (encoded(Image.fromarray(np.dstack([RGB, 0 * GREY])), "PNG"), WHITE, 0, "wholly transparent"),
    "blankfirst.gif": (animation("GIF", _blank), WHITE, 0, "first picture, the one that is taken, is blank"),
    "blankfirst.png": (animation("PNG", _blank), WHITE, 0, "first picture, the one that is taken, is blank"),
    "broken_profile.png": (SOUND.pop("broken_profile.png")[0], RGB, 0, "colour profile"),
}
"""Read, with a word."""


def _bomb():
    head = chunk(b"IHDR", struct.pack(">IIBBBBB", 30000, 30000, 8, 2, 0, 0, 0))
    return b"\x89PNG\r\n\x1a\n" + head + chunk(b"IDAT", zlib.compress(bytes(1000))) + chunk(b"IEND", b"")


def claiming(jpeg, width, height):
    """A JPEG that claims another size."""
    for marker in (b"\xff\xc0", b"\xff\xc2"):
        place = jpeg.find(marker)
        if place >= 0:
            return jpeg[: place + 5] + struct.pack(">HH", height, width) + jpeg[place + 9 :]
    raise ValueError("no frame")


BAD = {
    # name: (file, words of the reason)
    "f32.tif": (encoded(Image.fromarray((G16 / 65535).astype(np.float32)), "TIFF"), "floating-point"),
    "i32.tif": (encoded(Image.fromarray(G16.astype(np.int32) * 257), "TIFF"), "32-bit"),
    "rgb_f32.tif": (
        tiff((RGB / 255).astype("<f4"), 32, photometric=2, sample_format=3),
        r"a TIFF \(RGB\) of 3 channels of 32-bit floating-point numbers, which Pillow cannot read",
    ),
    "g_u64.tif": (tiff(G16.astype("<u8")[..., None], 64), r"a TIFF \(grey\) of 1 channels of 64-bit whole numbers"),
    "trunc.jpg": (_jpeg[:-200], "truncated"),
    "trunc_prog.jpg": (encoded(IMAGE, "JPEG", quality=95, progressive=True)[:-40], "truncated"),
    "last_bytes.jpg": (_jpeg[:-8], "truncated"),
    "trunc.png": (encoded(IMAGE, "PNG")[:-60], "truncated"),
    "zero.png": (b"", "empty file"),
    "html.jpg": (b"<html>404</html>", "not a picture but a web page"),
    "resource_fork.jpg": (b"\0\5\x16\7" * 30, "not a picture"),
    "bomb.png": (_bomb(), "30000x30000 is more than 100 megapixels"),
    "bomb.jpg": (claiming(_jpeg, 60000, 60000), "bytes cannot hold"),
    "bomb_prog.jpg": (
        claiming(encoded(IMAGE, "JPEG", progressive=True), 60000, 60000) + bytes(15 * 10**6),
        "more than 100 megapixels, and a progressive JPEG",
    ),
    "phone.heic": (b"\0\0\0\x18ftypheic\0\0\0\0mif1heic" + bytes(100), "a HEIC picture.*pip install pillow-heif"),
    "phone.jpg": (b"\0\0\0\x18ftypmif1\0\0\0\0mif1heic" + bytes(100), "a HEIC picture.*pip install pillow-heif"),
    "new.png": (b"\0\0\0\x0cJXL \r\n\x87\n" + bytes(100), "JPEG XL.*convert it to PNG"),
    "layers.png": (b"8BPS\0\1" + bytes(100), "Photoshop"),
    "pointer.png": (b"version https://git-lfs.github.com/spec/v1\noid sha256:00\n", "git lfs pull"),
}
"""Refused, with a reason."""

SIZES = {
    "onepix.png": (encoded(Image.new("RGB", (1, 1), "red"), "PNG"), (255, 0, 0)),
    "thin.png": (encoded(Image.new("RGB", (1, 500), "red"), "PNG"), (255, 0, 0)),
    "wide.jpg": (encoded(Image.new("RGB", (3000, 1), "red"), "JPEG"), (254, 0, 0)),
    "ascii.ppm": (b"P3\n2 1\n255\n255 0 0 255 0 0\n", (255, 0, 0)),
}
"""Of one colour, whatever their size."""

NAMES = (
    *("with space.png", "ünïcödé 猫.png", "100%done.png", "%s.png", "a:b.png", "new\nline.png"),
    *("quote'\".png", "[brack].png", "-dash.png", "#hash.png"),
)
HIDDEN = (".DS_Store", "._prog.jpg")
NO_PICTURES = ("Thumbs.db", "desktop.ini")
