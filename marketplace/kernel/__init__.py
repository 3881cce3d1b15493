"""What every room stands on: money, time, ids, canonical bytes, signatures, errors, state tables.

The kernel imports nothing of ours and does no input or output.
"""
