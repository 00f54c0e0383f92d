# SPDX-License-Identifier: MIT
"""What an engine measures of itself, under vLLM's metric names, and what a process shows of its resources."""

from __future__ import annotations

import os
import resource
import time
from dataclasses import dataclass

from engine_sim.prometheus import Registry

LATENCY = (0.3, 0.5, 0.8, 1.0, 1.5, 2.0, 2.5, 5.0, 10.0, 15.0, 20.0, 30.0, 40.0, 50.0, 60.0, 120.0, 240.0, 480.0)
FIRST_TOKEN = (
    *(0.001, 0.005, 0.01, 0.02, 0.04, 0.06, 0.08, 0.1, 0.25, 0.5, 0.75),
    *(1.0, 2.5, 5.0, 7.5, 10.0, 20.0, 40.0, 80.0, 160.0, 640.0, 2560.0),
)
NEXT_TOKEN = (
    *(0.01, 0.025, 0.05, 0.075, 0.1, 0.15, 0.2, 0.3, 0.4, 0.5, 0.75, 1.0, 2.5, 5.0, 7.5, 10.0, 20.0, 40.0, 80.0),
)
TOKENS = (1.0, 2.0, 5.0, 10.0, 20.0, 50.0, 100.0, 200.0, 500.0, 1000.0, 2000.0, 5000.0, 10000.0)
STARTED_AT = time.time()
FINISH_REASONS = ("stop", "length", "abort", "error")


@dataclass(frozen=True)
class Finished:
    """The times (seconds) and counts of one request that ended."""

    finish_reason: str
    prompt_tokens: int
    output_tokens: int
    e2e_s: float
    queue_s: float
    prefill_s: float
    decode_s: float


class EngineMetrics:
    """The metrics of an engine that reads prompts or writes tokens."""

    def __init__(self, model: str) -> None:
        registry = Registry({"engine": "0", "model_name": model})
        gauge, counter = "gauge", "counter"
        self.registry = registry
        self.running = registry.value(gauge, "vllm:num_requests_running", "Requests in model execution batches.")
        self.waiting = registry.value(gauge, "vllm:num_requests_waiting", "Requests waiting to be processed.")
        self.kv_usage = registry.value(gauge, "vllm:kv_cache_usage_perc", "KV-cache usage, 1 means 100 percent.")
        self.prompt = registry.value(counter, "vllm:prompt_tokens_total", "Prefill tokens processed.")
        self.generation = registry.value(counter, "vllm:generation_tokens_total", "Generation tokens processed.")
        self.preemptions = registry.value(counter, "vllm:num_preemptions_total", "Preemptions from the engine.")
        self.success = registry.value(counter, "vllm:request_success_total", "Finished requests.", start=False)
        for reason in FINISH_REASONS:
            self.success.set((*registry.labels, ("finished_reason", reason)), 0)
        self.ttft = registry.histogram("vllm:time_to_first_token_seconds", "Time to first token.", FIRST_TOKEN)
        self.itl = registry.histogram("vllm:inter_token_latency_seconds", "Time between two tokens.", NEXT_TOKEN)
        self.tpot = registry.histogram("vllm:time_per_output_token_seconds", "Time per output token.", NEXT_TOKEN)
        self.request_tpot = registry.histogram(
            "vllm:request_time_per_output_token_seconds", "Mean time per output token of a request.", NEXT_TOKEN
        )
        self.e2e = registry.histogram("vllm:e2e_request_latency_seconds", "Time of a whole request.", LATENCY)
        self.queue = registry.histogram("vllm:request_queue_time_seconds", "Time in the WAITING phase.", LATENCY)
        self.inference = registry.histogram(
            "vllm:request_inference_time_seconds", "Time in the RUNNING phase.", LATENCY
        )
        self.prefill = registry.histogram("vllm:request_prefill_time_seconds", "Time in the PREFILL phase.", LATENCY)
        self.decode = registry.histogram("vllm:request_decode_time_seconds", "Time in the DECODE phase.", LATENCY)
        self.prompt_sizes = registry.histogram("vllm:request_prompt_tokens", "Prefill tokens of a request.", TOKENS)
        self.output_sizes = registry.histogram(
            "vllm:request_generation_tokens", "Generation tokens of a request.", TOKENS
        )
        self.kv_bytes = registry.value(
            counter, "engine_sim:kv_transfer_bytes_total", "KV bytes sent or received.", start=False
        )
        self.kv_failures = registry.value(counter, "engine_sim:kv_transfer_failures_total", "KV transfers that failed.")

    def first_token(self, seconds: float) -> None:
        """Count the first token of a request, seconds after it arrived."""
        self.ttft.observe(seconds)
        self.generation.add(self.registry.labels)

    def next_token(self, seconds: float) -> None:
        """Count a further token of a request, seconds after the one before."""
        self.itl.observe(seconds)
        self.tpot.observe(seconds)
        self.generation.add(self.registry.labels)

    def finished(self, request: Finished) -> None:
        """Count a request that ended."""
        self.success.add((*self.registry.labels, ("finished_reason", request.finish_reason)))
        self.e2e.observe(request.e2e_s)
        self.queue.observe(request.queue_s)
        self.inference.observe(request.prefill_s + request.decode_s)
        self.prefill.observe(request.prefill_s)
        self.decode.observe(request.decode_s)
        self.prompt_sizes.observe(request.prompt_tokens)
        self.output_sizes.observe(request.output_tokens)
        if request.output_tokens > 1:
            self.request_tpot.observe(request.decode_s / (request.output_tokens - 1))

    def kv_moved(self, direction: str, size: int) -> None:
        """Count KV bytes that were `sent` or `received`."""
        self.kv_bytes.add((*self.registry.labels, ("direction", direction)), size)


def process_text() -> str:
    """Return the scrape text of this process's memory, descriptors, threads and processor time."""
    registry = Registry({})
    usage = resource.getrusage(resource.RUSAGE_SELF)
    with open("/proc/self/statm", encoding="ascii") as file:
        pages = file.read().split()
    figures = (
        ("gauge", "process_resident_memory_bytes", "Resident memory.", int(pages[1]) * resource.getpagesize()),
        ("gauge", "process_virtual_memory_bytes", "Virtual memory.", int(pages[0]) * resource.getpagesize()),
        ("gauge", "process_open_fds", "Open file descriptors.", len(os.listdir("/proc/self/fd")) - 1),
        ("gauge", "process_threads", "Threads.", len(os.listdir("/proc/self/task"))),
        ("counter", "process_cpu_seconds_total", "Processor time.", usage.ru_utime + usage.ru_stime),
        ("gauge", "process_start_time_seconds", "Unix time of the start.", STARTED_AT),
    )
    for kind, name, text, value in figures:
        registry.value(kind, name, text).set((), value)
    return registry.render()
