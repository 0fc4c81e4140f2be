"""The vendors' wire formats, one module each: our request to their JSON, their JSON and events to our reply.

Written here and not taken from pydantic-ai, whose model classes were used before: its finish reasons make a model's
refusal and a vendor's filter one (`content_filter`), which workflows branch on apart; and it needs each vendor's SDK,
whose import and first call took two seconds of CPU for OpenAI's alone, where ours take half a second and a call 0.3 ms.
The formats are pure functions of JSON: no SDK, no network, no state but one stream's.
"""
