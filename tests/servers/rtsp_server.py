"""An RTSP server that streams H.264 from raw pictures on its standard input. For the system's Python with GStreamer.

    python3 rtsp_server.py --width 640 --height 480 --fps 15 < raw RGB pictures

Writes ``rtsp://127.0.0.1:PORT/stream`` to standard output when it listens. A picture is width * height * 3 bytes; it
goes to the encoder when it has been read, and is dropped when nobody watches. Ends with its input.
"""

import argparse
import os
import sys
import threading

import gi

gi.require_version("Gst", "1.0")
gi.require_version("GstRtspServer", "1.0")
from gi.repository import GLib, Gst, GstRtspServer  # noqa: E402

ELEMENTS = ("appsrc", "videoconvert", "x264enc", "rtph264pay")


class Source(GstRtspServer.RTSPMediaFactory):
    """Hands pictures to the one encoder that all clients share."""

    def __init__(self, width, height, fps):
        super().__init__()
        self.appsrc = None
        self.set_shared(True)
        self.set_launch(
            "( appsrc name=source is-live=true format=time do-timestamp=true "
            f"caps=video/x-raw,format=RGB,width={width},height={height},framerate={fps}/1 "
            "! videoconvert ! video/x-raw,format=I420 "
            f"! x264enc tune=zerolatency speed-preset=ultrafast bitrate=6000 key-int-max={max(1, fps // 3)} "
            "! rtph264pay name=pay0 pt=96 config-interval=1 )"
        )
        self.connect("media-configure", self.configured)

    def configured(self, _factory, media):
        media.connect("unprepared", self.unprepared)
        self.appsrc = media.get_element().get_by_name("source")

    def unprepared(self, _media):
        self.appsrc = None

    def push(self, picture):
        appsrc = self.appsrc
        if appsrc is not None:
            appsrc.emit("push-buffer", Gst.Buffer.new_wrapped(picture))


def feed(source, size, loop):
    while len(picture := sys.stdin.buffer.read(size)) == size:
        source.push(picture)
    loop.quit()


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--width", type=int, required=True)
    parser.add_argument("--height", type=int, required=True)
    parser.add_argument("--fps", type=int, required=True)
    options = parser.parse_args()
    Gst.init(None)
    missing = [name for name in ELEMENTS if Gst.ElementFactory.find(name) is None]
    if missing:
        sys.exit(f"GStreamer has no {', '.join(missing)}")
    loop = GLib.MainLoop()
    server = GstRtspServer.RTSPServer()
    server.set_address("127.0.0.1")
    server.set_service("0")
    source = Source(options.width, options.height, options.fps)
    server.get_mount_points().add_factory("/stream", source)
    server.attach(None)
    print(f"rtsp://127.0.0.1:{server.get_bound_port()}/stream", flush=True)
    size = options.width * options.height * 3
    threading.Thread(target=feed, args=(source, size, loop), daemon=True).start()
    loop.run()
    # The encoder's threads are of no use any more, and joining them can hang.
    os._exit(0)


main()
