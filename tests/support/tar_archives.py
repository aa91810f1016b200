"""Tests of tar archives, which an older Python cannot unpack safely."""

import pytest

from captioning.downloads import archives

needs_tar = pytest.mark.skipif(
    archives.data_filter is None, reason="needs Python 3.10.12, 3.11.4 or newer to unpack tar"
)
