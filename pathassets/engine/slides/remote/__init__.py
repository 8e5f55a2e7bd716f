"""Slides that are objects of a bucket, or of a web server.

where it is (a URL) ─▶ how it looks (ETag, size, time) ─▶ a copy on scratch, hashed as it comes
└─▶ or a file with holes: what is read
"""
