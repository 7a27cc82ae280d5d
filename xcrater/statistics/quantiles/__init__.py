"""Order statistics of regions of any size, in bounded memory."""
