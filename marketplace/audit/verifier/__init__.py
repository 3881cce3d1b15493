"""The verifier that trusts nobody: checks a bundle offline.

It imports nothing else of this project, only the standard library and `cryptography`: whoever doubts the service can
read these few files and needs no other.
"""
