"""A bucket of tokens each: a burst at once, then so many a second."""

from fewstep.demo.rate import Rate


def test_a_burst_and_then_the_rate():
    now = [0.0]
    rate = Rate(3, 2, lambda: now[0])
    assert [rate.wait("a") for _ in range(4)] == [0, 0, 0, 0.5]
    assert rate.wait("b") == 0
    now[0] = 0.5
    assert [rate.wait("a"), rate.wait("a")] == [0, 0.5]
    now[0] = 100
    assert [rate.wait("a") > 0 for _ in range(4)] == [False, False, False, True]


def test_few_clients_are_remembered():
    rate = Rate(1, 0.001, lambda: 0.0)
    assert rate.wait("first") == 0
    for number in range(rate.MOST_CLIENTS):
        rate.wait(str(number))
    assert len(rate._left) == rate.MOST_CLIENTS
