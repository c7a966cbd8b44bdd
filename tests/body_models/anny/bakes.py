import os
import subprocess
import sys


def run(code, folder):
    """Run code in a fresh interpreter with its own cache folder; what it printed, errors included."""
    environment = {**os.environ, "AVATARS_CACHE": str(folder), "OMP_NUM_THREADS": "1"}
    done = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    return done.stdout + done.stderr
