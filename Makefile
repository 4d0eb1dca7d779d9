# dpcam: `make demo` shows it, `make test` judges it. Both make their own virtual environment first.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip install --progress-bar off --disable-pip-version-check -c constraints.txt

# What some tests need of the system: an RTSP server, two programs that draw PDFs, the libraries of OpenCV's build with
# windows, a print server with a simulated printer, the profile of a printing press, photographs of a chessboard, a clock that
# can be set back, a file system that can break.
SYSTEM_PACKAGES := chromium poppler-utils libgl1 libglib2.0-0 python3-gi gir1.2-gst-rtsp-server-1.0 \
    gstreamer1.0-plugins-base gstreamer1.0-plugins-good gstreamer1.0-plugins-bad gstreamer1.0-plugins-ugly \
    cups cups-client cups-ipp-utils cups-filters avahi-daemon dbus libgs-common opencv-doc faketime e2fsprogs curl

# One thread for each process: two under contention cost up to 7 times the time.
export OMP_NUM_THREADS ?= 1

.DELETE_ON_ERROR:
.PHONY: setup demo test check bench faults clean

setup: $(VENV)/.ready

demo: $(VENV)/.app
	$(BIN)/dpcam demo

test: check $(VENV)/.system
	$(BIN)/pytest --numprocesses=auto --dist=loadfile

check: $(VENV)/.ready
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

bench: $(VENV)/.app
	$(BIN)/dpcam bench sim
	$(BIN)/dpcam bench localize --quick --moving 30
	$(BIN)/dpcam bench capture --quick
	$(BIN)/dpcam bench camera --quick
	$(BIN)/dpcam bench verify --quick
	$(BIN)/dpcam bench color --quick
	$(BIN)/dpcam bench statistics --quick
	$(BIN)/dpcam bench score --quick
	$(BIN)/dpcam bench patches --quick
	$(BIN)/dpcam bench train

# Each fault on the real program; QUICK=1 takes less than a minute. File systems are mounted, which needs root.
faults: $(VENV)/.ready $(VENV)/.system
	$(BIN)/python tests/faults $(if $(QUICK),--quick)

clean:
	rm -rf $(VENV) dist build .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache dpcam-demo

# The program alone. opencv-python and opencv-python-headless share the folder cv2; the one installed last wins, and
# here that is the one that needs no display (docs/decisions/0002-one-cv2.md).
$(VENV)/.app: pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit(not (3, 11) <= sys.version_info < (3, 14))' \
	    || { echo "dpcam needs Python 3.11 to 3.13; name one: make PYTHON=python3.12 $(MAKECMDGOALS)" >&2; exit 1; }
	$(PYTHON) -m venv $(VENV)
	$(PIP) -e .
	$(PIP) --force-reinstall --no-deps opencv-python-headless
	touch $@

# The tools of the developer on top.
$(VENV)/.ready: $(VENV)/.app
	$(PIP) -e '.[dev]'
	touch $@

# System packages: installed where that is possible, named where it is not; the tests that need them skip and say so.
$(VENV)/.system: $(VENV)/.ready
	@missing=; for package in $(SYSTEM_PACKAGES); do \
	    dpkg-query -W -f='$${Status}' $$package 2>/dev/null | grep -q 'ok installed' || missing="$$missing $$package"; \
	done; \
	if [ -z "$$missing" ]; then \
	    touch $@; \
	elif [ "$$(id -u)" -eq 0 ] && command -v apt-get >/dev/null; then \
	    export DEBIAN_FRONTEND=noninteractive; \
	    { apt-get update && apt-get install -y --no-install-recommends $$missing && touch $@; } \
	        || echo "could not install$$missing: some tests will be skipped" >&2; \
	else \
	    echo "some tests will be skipped; they need: apt-get install$$missing" >&2; \
	fi
