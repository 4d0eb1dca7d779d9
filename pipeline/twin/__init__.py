"""The digital twin: the patch rendered into shots that do without it, and what the real sticker lost on its way."""
