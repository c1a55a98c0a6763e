"""What one answer cannot tell is settled by reading again: calls that overlapped (`overlaps`),
and calls without an answer (`doubts`), judged by the `evidence`.
"""
