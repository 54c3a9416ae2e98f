import os
import signal

import pytest

from experiment.storage.interruption import NUMBERS, Interrupted, Signals


@pytest.fixture
def signals():
    former = {number: signal.getsignal(number) for number in NUMBERS}
    yield Signals()
    signal.set_wakeup_fd(-1)
    for number, handler in former.items():
        signal.signal(number, handler)


@pytest.mark.parametrize("number", NUMBERS)
def test_a_signal_interrupts_at_once(number, signals):
    with pytest.raises(Interrupted) as interrupted:
        os.kill(os.getpid(), number)
    assert interrupted.value.number == signals.received == number


@pytest.mark.parametrize("number", NUMBERS)
def test_a_deferred_signal_interrupts_at_the_next_check(number, signals):
    with signals.deferred():
        signals.check()
        os.kill(os.getpid(), number)
        assert signals.received == number
    with pytest.raises(Interrupted) as interrupted:
        signals.check()
    assert interrupted.value.number == number
