"""What the tests of policies share. What all end-to-end tests share is in tests/common."""

import os
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", ".."))
