"""The vendors' wire formats, one module each: our request to their JSON, their JSON and events to our reply.

Written here and not taken from pydantic-ai, whose model classes we used before, because of what its replies leave out:
a stream that ends without its end looks like one that ended; refusals and filters are one reason; image tokens, the
vendor's own usage and its blocks are dropped or renamed; and a call costs several milliseconds of CPU and a second and
100 MB of SDKs to import. The formats are pure functions of JSON: no SDK, no network, no state but one stream's.
"""
