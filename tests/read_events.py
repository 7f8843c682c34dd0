#!/usr/bin/env python3
"""Reads the TensorBoard files of a run without masque's code or TensorBoard's, and holds them to the run.

    tests/read_events.py RUN

Every CRC must be right. Of what TensorBoard shows (a START but the first drops what is of its step and later), each
number of metrics.jsonl must be there once, as f32, with each text of samples/, and nothing else. Prints a summary as
JSON; exits 1 with what is wrong.
"""

import json
import math
import pathlib
import struct
import sys


def crc32c(data):
    """Bit by bit, from the definition: polynomial 0x1EDC6F41, reflected."""
    crc = 0xFFFFFFFF
    for byte in data:
        crc ^= byte
        for _ in range(8):
            crc = crc >> 1 ^ (0x82F63B78 if crc & 1 else 0)
    return crc ^ 0xFFFFFFFF


def masked(data):
    crc = crc32c(data)
    return ((crc >> 15 | crc << 17) + 0xA282EAD8) & 0xFFFFFFFF


def records(file):
    data, at = file.read_bytes(), 0
    while at < len(data):
        if len(data) < at + 12:
            raise ValueError(f"{file.name}: cut off in the length at byte {at}")
        (length,) = struct.unpack_from("<Q", data, at)
        (check,) = struct.unpack_from("<I", data, at + 8)
        if check != masked(data[at : at + 8]):
            raise ValueError(f"{file.name}: CRC of the length at byte {at}")
        body = data[at + 12 : at + 12 + length]
        if len(data) < at + 16 + length:
            raise ValueError(f"{file.name}: cut off in the record at byte {at}")
        (check,) = struct.unpack_from("<I", data, at + 12 + length)
        if check != masked(body):
            raise ValueError(f"{file.name}: CRC of the record at byte {at}")
        yield body
        at += 16 + length


def varint(data, at):
    number = shift = 0
    while True:
        byte = data[at]
        number |= (byte & 0x7F) << shift
        at, shift = at + 1, shift + 7
        if byte < 0x80:
            return number, at


def fields(data):
    """A protobuf message as {field: [values]}: integers, raw bytes of fixed width, or bytes."""
    found, at = {}, 0
    while at < len(data):
        key, at = varint(data, at)
        kind = key & 7
        if kind == 0:
            value, at = varint(data, at)
        elif kind in (1, 5):
            size = 8 if kind == 1 else 4
            value, at = data[at : at + size], at + size
        elif kind == 2:
            size, at = varint(data, at)
            value, at = data[at : at + size], at + size
        else:
            raise ValueError(f"wire type {kind}")
        if at > len(data):
            raise ValueError("a field ends past its message")
        found.setdefault(key >> 3, []).append(value)
    return found


def one(message, field, default=None):
    values = message.get(field, [default])
    if len(values) != 1:
        raise ValueError(f"field {field} is there {len(values)} times")
    return values[0]


def read(folder):
    """[(step, tag, float or str)] as TensorBoard keeps them, how many events restarts dropped, and the files."""
    kept, dropped, started = [], 0, False
    files = sorted(folder.glob("events.out.tfevents.*"))
    for file in files:
        last_time = 0
        for number, body in enumerate(records(file)):
            event = fields(body)
            step = one(event, 2, 0)
            (time,) = struct.unpack("<d", one(event, 1))
            if not last_time <= time < 2**33:
                raise ValueError(f"{file.name}: time {time} after {last_time}")
            last_time = time
            version = one(event, 3)
            if (number == 0) != (version == b"brain.Event:2"):
                raise ValueError(f"{file.name}: file_version {version} in record {number}")
            session = one(event, 7)
            if session is not None:
                if one(fields(session), 1) != 1:
                    raise ValueError(f"{file.name}: a session log that is no START")
                if started:
                    dropped += sum(entry[0] >= step for entry in kept)
                    kept = [entry for entry in kept if entry[0] < step]
                started = True
            summary = one(event, 5)
            for value in fields(summary).get(1, []) if summary is not None else []:
                kept.append((step, *tag_and_value(fields(value))))
    return kept, dropped, files


def tag_and_value(value):
    tag = one(value, 1).decode()
    if 2 in value:
        return tag, struct.unpack("<f", one(value, 2))[0]
    metadata, tensor = fields(one(value, 9)), fields(one(value, 8))
    if one(fields(one(metadata, 1)), 1) != b"text" or one(metadata, 4) != 2 or one(tensor, 1) != 7:
        raise ValueError(f"{tag}: neither a scalar nor a text")
    return tag, one(tensor, 8).decode()


def f32(number):
    return math.nan if number is None else struct.unpack("<f", struct.pack("<f", number))[0]


def code(text):
    return "\n".join("    " + line for line in text.split("\n"))


def expected(run):
    wanted = [(0, "config", code(json.dumps(json.loads((run / "config.json").read_text()), indent=2)))]
    for line in (run / "metrics.jsonl").read_text().splitlines():
        line = json.loads(line)
        step, split = line["step"], line["split"]
        for key in ("loss", "accuracy"):
            wanted.append((step, f"{key}/{split}", f32(line[key])))
        if split == "train":
            for key in ("tokens", "epoch", "lr", "grad_norm", "tokens_per_second"):
                wanted.append((step, f"training/{key}", f32(line[key])))
    for file in (run / "samples").glob("step_*.txt"):
        wanted.append((int(file.stem[5:]), "sample", code(file.read_text()[:-1])))
    return wanted


def comparable(entries):
    return sorted((step, tag, "NaN" if value != value else repr(value)) for step, tag, value in entries)


def main():
    run = pathlib.Path(sys.argv[1])
    kept, dropped, files = read(run)
    if not files:
        raise ValueError("no events.out.tfevents.*")
    have, want = comparable(kept), comparable(expected(run))
    for missing in sorted(set(want) - set(have)):
        raise ValueError(f"not in the events: {missing}")
    for extra in sorted(set(have) - set(want)):
        raise ValueError(f"only in the events: {extra}")
    if have != want:
        raise ValueError("something is there twice")
    texts = sum(isinstance(value, str) for _, _, value in kept)
    print(json.dumps({"files": len(files), "scalars": len(kept) - texts, "texts": texts, "dropped": dropped}))


if __name__ == "__main__":
    try:
        main()
    except (ValueError, IndexError, UnicodeDecodeError) as error:
        sys.exit(f"{sys.argv[1]}: {error}")
