# SPDX-License-Identifier: MIT
from __future__ import annotations

import asyncio

import pytest
from engine_sim.admission import Admission, QueueFullError


def test_places_are_given_in_the_order_of_arrival() -> None:
    async def run() -> list[int]:
        admission = Admission(1, 10)
        order: list[int] = []

        async def work(number: int) -> None:
            await admission.enter()
            order.append(number)
            await asyncio.sleep(0)
            admission.leave()

        await asyncio.gather(*(work(number) for number in range(5)))
        assert (admission.running, admission.waiting) == (0, 0)
        return order

    assert asyncio.run(run()) == [0, 1, 2, 3, 4]


def test_a_full_queue_refuses() -> None:
    async def run() -> None:
        admission = Admission(1, 1)
        await admission.enter()
        waiter = asyncio.ensure_future(admission.enter())
        await asyncio.sleep(0)
        assert (admission.running, admission.waiting) == (1, 1)
        with pytest.raises(QueueFullError):
            await admission.enter()
        admission.leave()
        await waiter
        admission.leave()
        assert admission.running == 0

    asyncio.run(run())


@pytest.mark.parametrize("given_before_cancel", [False, True])
def test_a_waiter_that_goes_away_takes_no_place(given_before_cancel: bool) -> None:
    async def run() -> None:
        admission = Admission(1, 10)
        await admission.enter()
        first, second = (asyncio.ensure_future(admission.enter()) for _ in range(2))
        await asyncio.sleep(0)
        if given_before_cancel:
            admission.leave()
        first.cancel()
        await asyncio.wait({first})
        if not given_before_cancel:
            admission.leave()
        await second
        assert (admission.running, admission.waiting) == (1, 0)

    asyncio.run(run())
