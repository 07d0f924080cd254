"""Where an encoder also sends to: logs what comes, in the form that rtp_sender.py logs what it sends.

  rtp_log.py LOG PORT    of 127.0.0.1; the log is made once it listens

Knows nothing of tiercast."""
import socket
import sys
import time

from rtp_sender import packet_hash


def payload(datagram):
    """Of an RTP packet without extension and padding (RFC 3550, 5.1), as ffmpeg's and GStreamer's are."""
    return datagram[12 + 4 * (datagram[0] & 0x0f):]


def main(log, port):
    heard = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    heard.bind(("127.0.0.1", int(port)))
    with open(log, "w", encoding="ascii") as file:
        while True:
            datagram = heard.recv(2048)
            at = time.clock_gettime(time.CLOCK_MONOTONIC)
            file.write(f"{packet_hash(payload(datagram))} {at * 1000:.3f}\n")
            file.flush()


if __name__ == "__main__":
    main(*sys.argv[1:])
