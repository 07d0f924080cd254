#!/usr/bin/python3
"""A tiercast listener that shares no line with tiercast: written from crypto/PROTOCOL.md, to try that document.
It logs packets and plays nothing. /usr/bin/python3, because that is the one which Debian's python3-cryptography is for.

Exit status: 0 at the attested end, after --seconds, or on SIGTERM; 69 if it never joined."""
import argparse
import base64
import json
import signal
import sys
import time

from join import Refused
from listener import Listener


def address(text):
    host, _, port = text.rpartition(":")
    return host.strip("[]"), int(port)


def key(text):
    raw = base64.b64decode(text, validate=True)
    if len(raw) != 32:
        raise ValueError("a key has 32 bytes")
    return raw


def source_key(text):
    number, _, encoded = text.partition(":")
    return int(number), key(encoded)


def arguments(description):
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument("address", type=address, metavar="ADDR:PORT")
    parser.add_argument("--key", type=key, required=True, metavar="B64", help="the node's public key")
    parser.add_argument("--group", type=int, required=True, metavar="N")
    parser.add_argument("--source-key", type=source_key, required=True, action="append", metavar="ID:B64")
    parser.add_argument("--seconds", type=float, metavar="S", help="leave after so long")
    parser.add_argument("--no-nacks", action="store_true", help="ask for nothing that is missing")
    parser.add_argument("--log", metavar="FILE", help="JSON lines: each packet, in order")
    parser.add_argument("--report", metavar="FILE", help="JSON: counters, at exit; else to standard output")
    return parser


def write_report(listener, path):
    text = json.dumps(listener.report())
    if not path:
        print(text)
        return
    with open(path, "w", encoding="ascii") as file:
        file.write(text)


def main():
    options = arguments(__doc__.partition("\n")[0]).parse_args()
    stopped = []
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stopped.append(True))
    log = open(options.log, "w", encoding="ascii") if options.log else None
    listener = Listener(options.address, options.key, options.group, dict(options.source_key), log,
                        asks=not options.no_nacks)
    try:
        listener.run(time.monotonic() + options.seconds if options.seconds else None, lambda: bool(stopped))
    except Refused as why:
        sys.exit(f"listen.py: {why}")
    if log:
        log.close()
    write_report(listener, options.report)
    if listener.joining and listener.joining.denied:
        print(f"listen.py: denied: {listener.joining.denied}", file=sys.stderr)
    sys.exit(0 if listener.counters["joined"] else 69)


if __name__ == "__main__":
    main()
