# pyright: basic
# Raw JSON of many vendors, read literally: types would be a second model of it.
"""What a recorded exchange says, read from its raw body by hand-written extraction: the other opinion on every parser.

Nothing here is shared with the product. Each function takes the bodies of one exchange (one, or a stream's events in
order) and picks out text, tools, finish and tokens in the most literal way.
"""

from __future__ import annotations

import base64
import json
import re
from dataclasses import dataclass, field
from typing import Any

STOPS = {
    **dict.fromkeys(["stop", "end_turn", "stop_sequence", "STOP", "COMPLETE", "completed", "FINISH"], "stop"),
    **dict.fromkeys(["endoftext"], "stop"),
    **dict.fromkeys(["length", "max_tokens", "MAX_TOKENS", "max_output_tokens"], "length"),
    **dict.fromkeys(["tool_calls", "function_call", "tool_use", "TOOL_CALL"], "tool_calls"),
    **dict.fromkeys(["content_filter", "SAFETY", "MODEL_ARMOR", "guardrail_intervened"], "content_filter"),
    "refusal": "refusal",
    None: "incomplete",
}


@dataclass
class Said:
    """What an exchange says; tokens are (input, output, cached, reasoning), none where nothing was reported."""

    text: str = ""
    tools: list[tuple[str, Any]] = field(default_factory=list[tuple[str, Any]])
    stop: str | None = None
    refusal: str = ""
    tokens: tuple[int, int, int, int] | None = None
    error: bool = False
    model: str = ""
    id: str = ""

    @property
    def finish(self) -> str:
        finish = STOPS[self.stop]
        if finish in ("stop", "tool_calls"):
            return "refusal" if self.refusal else "tool_calls" if self.tools else "stop"
        return finish


def bodies(exchange: dict[str, Any]) -> tuple[list[dict[str, Any]], bool]:
    """The JSON bodies of an answer, and whether they are a stream's."""
    response = exchange["response"]
    kind = response["headers"].get("content-type", "")
    if response["body_base64"]:
        return aws(base64.b64decode(response["body_base64"])), True
    if "event-stream" in kind:
        return [json.loads(line) for line in re.findall(r"^data: ?(\{.*)$", response["body_text"], re.MULTILINE)], True
    if "ndjson" in kind:
        return [json.loads(line) for line in response["body_text"].strip().split("\n")], True
    return [json.loads(response["body_text"])], False


def aws(data: bytes) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = []
    while data:
        total, head = int.from_bytes(data[:4]), int.from_bytes(data[4:8])
        name = re.search(rb":event-type\x07..([A-Za-z]+)", data[12 : 12 + head], re.DOTALL)
        body = json.loads(data[12 + head : total - 4])
        found.append(
            json.loads(base64.b64decode(body["bytes"])) if "bytes" in body else {name[1].decode() if name else "": body}
        )
        data = data[total:]
    return found


def chat_completions(all_bodies: list[dict[str, Any]], *, stream: bool) -> Said:
    said = Said()
    calls: dict[Any, list[str]] = {}
    for body in all_bodies:
        if body.get("error"):
            said.error = True
        usage = body.get("usage")
        if usage:
            details = usage.get("prompt_tokens_details") or {}
            cached = details.get("cached_tokens") or usage.get("prompt_cache_hit_tokens") or usage.get("cached_tokens")
            cached = cached or usage.get("num_cached_tokens") or 0
            reasoning = (usage.get("completion_tokens_details") or {}).get("reasoning_tokens") or 0
            said.tokens = (usage["prompt_tokens"], usage.get("completion_tokens", 0), cached, reasoning)
        if not body.get("choices"):
            continue
        choice = body["choices"][0]
        said.stop = choice.get("finish_reason") or said.stop
        message = choice.get("delta" if stream else "message") or {}
        content = message.get("content")
        if isinstance(content, list):
            content = "".join(block["text"] for block in content if block["type"] == "text")
        said.text += content or choice.get("text") or ""
        said.refusal += message.get("refusal") or ""
        for position, call in enumerate(message.get("tool_calls") or []):
            known = calls.setdefault(call.get("index", position), ["", ""])
            known[0] += call["function"].get("name") or ""
            known[1] += call["function"].get("arguments") or ""
        if message.get("function_call"):
            known = calls.setdefault("legacy", ["", ""])
            known[0] += message["function_call"].get("name") or ""
            known[1] += message["function_call"].get("arguments") or ""
    said.tools = [(name, json.loads(arguments or "{}")) for name, arguments in calls.values()]
    return said


def responses(all_bodies: list[dict[str, Any]], *, stream: bool) -> Said:
    ends = ("response.completed", "response.incomplete")
    final = next((b["response"] for b in all_bodies if b.get("type") in ends), None) if stream else all_bodies[0]
    said = Said()
    if final is None:
        return said
    for item in final["output"]:
        if item["type"] == "message":
            said.text += "".join(c["text"] for c in item["content"] if c["type"] == "output_text")
            said.refusal += "".join(c["refusal"] for c in item["content"] if c["type"] == "refusal")
        if item["type"] == "function_call":
            said.tools.append((item["name"], json.loads(item["arguments"])))
    if stream and not final["output"]:
        said.text = "".join(b["delta"] for b in all_bodies if b["type"] == "response.output_text.delta")
    if final["status"] == "incomplete":
        said.stop = final["incomplete_details"]["reason"]
    elif final["status"] == "completed":
        said.stop = "completed"
    usage = final.get("usage")
    if usage:
        cached, reasoning = usage["input_tokens_details"]["cached_tokens"], usage["output_tokens_details"]
        said.tokens = (usage["input_tokens"], usage["output_tokens"], cached, reasoning["reasoning_tokens"])
    return said


def messages(all_bodies: list[dict[str, Any]], *, stream: bool) -> Said:
    said = Said()
    usage: dict[str, Any] = {}
    if stream:
        inputs: dict[int, str] = {}
        names: dict[int, str] = {}
        for body in all_bodies:
            said.error |= body["type"] == "error"
            usage |= (body.get("message") or body).get("usage") or {}
            block, delta = body.get("content_block", {}), body.get("delta", {})
            if block.get("type") == "text":
                said.text += block["text"]
            if block.get("type") == "tool_use":
                names[body["index"]] = block["name"]
            said.text += delta.get("text", "")
            inputs[body.get("index", -1)] = inputs.get(body.get("index", -1), "") + delta.get("partial_json", "")
            said.stop = delta.get("stop_reason") or said.stop
        said.tools = [(name, json.loads(inputs[index] or "{}")) for index, name in names.items()]
    else:
        body = all_bodies[0]
        usage, said.stop = body["usage"], body["stop_reason"]
        said.text = "".join(block["text"] for block in body["content"] if block["type"] == "text")
        said.tools = [(block["name"], block["input"]) for block in body["content"] if block["type"] == "tool_use"]
    if usage:
        cached = usage.get("cache_read_input_tokens") or 0
        whole = usage["input_tokens"] + cached + (usage.get("cache_creation_input_tokens") or 0)
        thinking = (usage.get("output_tokens_details") or {}).get("thinking_tokens") or 0
        said.tokens = (whole, usage["output_tokens"], cached, thinking)
    return said


def generate_content(all_bodies: list[dict[str, Any]], *, stream: bool) -> Said:
    said = Said()
    for body in all_bodies:
        for candidate in body.get("candidates", [])[:1]:
            parts = (candidate.get("content") or {}).get("parts") or []
            said.text += "".join(part.get("text", "") for part in parts if not part.get("thought"))
            said.tools += [(p["functionCall"]["name"], p["functionCall"]["args"]) for p in parts if "functionCall" in p]
            said.stop = candidate.get("finishReason") or said.stop
        usage = body.get("usageMetadata")
        if usage:
            read = usage.get("promptTokenCount", 0) + usage.get("toolUsePromptTokenCount", 0)
            thoughts, cached = usage.get("thoughtsTokenCount", 0), usage.get("cachedContentTokenCount", 0)
            said.tokens = (read, usage.get("candidatesTokenCount", 0) + thoughts, cached, thoughts)
    return said


def converse(all_bodies: list[dict[str, Any]], *, stream: bool) -> Said:
    said = Said()
    usage: dict[str, Any] = {}
    names: dict[int, str] = {}
    inputs: dict[int, str] = {}
    for body in all_bodies:
        if stream:
            ((kind, event),) = body.items()
            index = event.get("contentBlockIndex", -1)
            call = (event.get("start") or {}).get("toolUse")
            if call and call.get("type") != "server_tool_use":
                names[index] = call["name"]
            delta = event.get("delta") or {}
            said.text += delta.get("text", "")
            inputs[index] = inputs.get(index, "") + (delta.get("toolUse") or {}).get("input", "")
            said.stop = event.get("stopReason") or said.stop
            usage = event["usage"] if kind == "metadata" else usage
        else:
            blocks = body["output"]["message"]["content"]
            said.text = "".join(block.get("text", "") for block in blocks)
            calls = [block["toolUse"] for block in blocks if "toolUse" in block]
            said.tools = [(c["name"], c["input"]) for c in calls if c.get("type") != "server_tool_use"]
            said.stop, usage = body["stopReason"], body["usage"]
    said.tools = said.tools or [(name, json.loads(inputs[index] or "{}")) for index, name in names.items()]
    if usage:
        cached = usage.get("cacheReadInputTokens", 0)
        whole = usage["inputTokens"] + cached + usage.get("cacheWriteInputTokens", 0)
        said.tokens = (whole, usage["outputTokens"], cached, 0)
    return said


def invoke(all_bodies: list[dict[str, Any]], *, stream: bool) -> Said:
    first, last = all_bodies[0], all_bodies[-1]
    if "outputText" in first:
        metrics = last.get("amazon-bedrock-invocationMetrics") or {}
        read = metrics.get("inputTokenCount", last.get("inputTextTokenCount", 0))
        written = metrics.get("outputTokenCount", last["totalOutputTextTokenCount"])
        guarded = any(body.get("amazon-bedrock-guardrailAction") == "INTERVENED" for body in all_bodies)
        stop = "guardrail_intervened" if guarded else last["completionReason"]
        return Said("".join(body["outputText"] for body in all_bodies), stop=stop, tokens=(read, written, 0, 0))
    if stream or "content" in first:
        return messages(all_bodies, stream=stream)
    if "generations" in first:
        return Said(first["generations"][0]["text"], stop=first["generations"][0]["finish_reason"])
    completion = first["completions"][0]
    return Said(completion["data"]["text"], stop=completion["finishReason"]["reason"])


def cohere(all_bodies: list[dict[str, Any]], *, stream: bool) -> Said:
    said = Said()
    for body in all_bodies:
        part = body.get("delta", {}) if stream else body
        message = part.get("message") or {}
        content = message.get("content") or []
        content = content if isinstance(content, list) else [content]
        said.text += "".join(block.get("text", "") for block in content) + (part.get("text") or "")
        for call in message.get("tool_calls") or []:
            said.tools.append((call["function"]["name"], json.loads(call["function"]["arguments"])))
        said.stop = part.get("finish_reason") or said.stop
        usage = part.get("usage") or part.get("meta")
        if usage:
            tokens = usage["tokens"]
            said.tokens = (tokens["input_tokens"], tokens["output_tokens"], usage.get("cached_tokens", 0), 0)
    return said


def ollama(all_bodies: list[dict[str, Any]], *, stream: bool) -> Said:
    last = all_bodies[-1]
    text = "".join(body.get("response") or (body.get("message") or {}).get("content", "") for body in all_bodies)
    tokens = (last.get("prompt_eval_count", 0), last["eval_count"], 0, 0)
    return Said(text, stop=last["done_reason"], tokens=tokens)


EXTRACT = {
    "chat.completions": chat_completions,
    "completions": chat_completions,
    "responses": responses,
    "messages": messages,
    "generateContent": generate_content,
    "converse": converse,
    "invoke": invoke,
    "cohere": cohere,
    "chat": ollama,
    "generate": ollama,
}


def said(exchange: dict[str, Any]) -> Said:
    """What an exchange of status 200 says."""
    api = "cohere" if exchange["provider"] == "cohere" else exchange["api"]
    found, stream = bodies(exchange)
    heard = EXTRACT[api](found, stream=stream)
    for body in found:
        inner: list[Any] = [body, body.get("message"), body.get("response")]
        for holder in (item for item in inner if isinstance(item, dict)):
            heard.model = heard.model or holder.get("model") or holder.get("modelVersion") or ""
            named = holder.get("id") or holder.get("responseId") or holder.get("response_id")
            heard.id = heard.id or str(named or "")
    headers = exchange["response"]["headers"]
    heard.id = heard.id or headers.get("x-amzn-requestid", "") or found[0].get("created_at", "")
    return heard
