"""Archives as the organisers make them, and as nobody should."""

import io
import struct
import zipfile
import zlib

import pyzipper


def plain(files, compression=zipfile.ZIP_STORED):
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w", compression) as archive:
        for name, data in files.items():
            archive.writestr(name, data)
    return content.getvalue()


def deflated(files):
    return plain(files, zipfile.ZIP_DEFLATED)


def aes(files, password):
    content = io.BytesIO()
    with pyzipper.AESZipFile(content, "w", compression=zipfile.ZIP_DEFLATED, encryption=pyzipper.WZ_AES) as archive:
        archive.setpassword(password.encode())
        for name, data in files.items():
            archive.writestr(name, data)
    return content.getvalue()


def zip_crypto(files, password):
    """The older encryption, from PKWARE's application note, section 6.1; files are stored."""
    body, directory = b"", b""
    for name, data in files.items():
        sum_ = zlib.crc32(data)
        secret = _encipher(bytes(11) + bytes([sum_ >> 24]) + data, password.encode())
        about = struct.pack("<5H3L2H", 20, 1, 0, 0, 33, sum_, len(secret), len(data), len(name), 0)
        place = struct.pack("<3H2L", 0, 0, 0, 0, len(body))
        directory += b"PK\1\2" + struct.pack("<H", 20) + about + place + name.encode()
        body += b"PK\3\4" + about + name.encode() + secret
    end = struct.pack("<4H2LH", 0, 0, len(files), len(files), len(directory), len(body), 0)
    return body + directory + b"PK\5\6" + end


def _encipher(data, password):
    keys = [0x12345678, 0x23456789, 0x34567890]

    def update(byte):
        keys[0] = _crc(keys[0], byte)
        keys[1] = ((keys[1] + (keys[0] & 255)) * 134775813 + 1) & 0xFFFFFFFF
        keys[2] = _crc(keys[2], keys[1] >> 24)

    for byte in password:
        update(byte)
    secret = bytearray()
    for byte in data:
        word = (keys[2] | 2) & 0xFFFF
        secret.append(byte ^ (word * (word ^ 1) >> 8) & 255)
        update(byte)
    return bytes(secret)


def _crc(state, byte):
    return zlib.crc32(bytes([byte]), state ^ 0xFFFFFFFF) ^ 0xFFFFFFFF
