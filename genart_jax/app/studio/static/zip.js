// A zip of files as they are, not compressed: pictures are already.

const TABLE = Uint32Array.from({ length: 256 }, (_, i) => {
  let value = i;
  for (let bit = 0; bit < 8; bit++) value = value & 1 ? 0xedb88320 ^ (value >>> 1) : value >>> 1;
  return value;
});

const sum = (bytes) => (bytes.reduce((crc, byte) => TABLE[(crc ^ byte) & 255] ^ (crc >>> 8), 0xffffffff) ^ 0xffffffff) >>> 0;

function numbers(...pairs) { // [value, how many bytes], the lowest first
  const out = [];
  for (const [value, size] of pairs) for (let i = 0; i < size; i++) out.push((value >>> (8 * i)) & 255);
  return Uint8Array.from(out);
}

const UTF8 = 0x800, DAY = 0x21; // names are UTF-8; the date is 1 January 1980

// [[name, Blob]] -> Blob
export async function zipped(files) {
  const parts = [], list = [];
  let at = 0, length = 0;
  for (const [name, file] of files) {
    const bytes = new Uint8Array(await file.arrayBuffer()), word = new TextEncoder().encode(name);
    const common = [[UTF8, 2], [0, 2], [0, 2], [DAY, 2], [sum(bytes), 4], [bytes.length, 4], [bytes.length, 4], [word.length, 2]];
    const head = numbers([0x04034b50, 4], [20, 2], ...common, [0, 2]);
    parts.push(head, word, bytes);
    const entry = numbers([0x02014b50, 4], [20, 2], [20, 2], ...common, [0, 2], [0, 2], [0, 2], [0, 2], [0, 4], [at, 4]);
    list.push(entry, word);
    at += head.length + word.length + bytes.length;
    length += entry.length + word.length;
  }
  return new Blob([...parts, ...list, numbers([0x06054b50, 4], [0, 4], [files.length, 2], [files.length, 2], [length, 4], [at, 4], [0, 2])]);
}
