"""A call of a model as a pure function."""

import threading

import torch

from fewstep import MAML
from fewstep.functional.call import functional_call, trainable
from fewstep.models.conv4 import conv4


def test_a_hook_of_the_user_is_called():
    torch.manual_seed(0)
    model, calls = conv4(1, 28, 5, 8), []
    model[0][1].register_forward_hook(lambda *_: calls.append(1))
    x, y = torch.randn(5, 1, 28, 28), torch.arange(5)
    MAML(model, 0.1, 1).adapt(x, y)
    assert len(calls) > 1


def test_the_weights_of_recurrent_layers_stay_where_they_are(monkeypatch):
    """A GPU's layers would move them, in every call, and cannot under vmap."""
    layer = torch.nn.LSTM(2, 3)
    method = torch.nn.RNNBase.flatten_parameters

    def refuse(_):
        raise AssertionError

    monkeypatch.setattr(torch.nn.RNNBase, "flatten_parameters", refuse)
    given = {name: value + 1 for name, value in trainable(layer).items()}
    functional_call(layer, given, torch.ones(4, 2))
    monkeypatch.undo()
    assert torch.nn.RNNBase.flatten_parameters is method


def test_threads_leave_layers_of_pytorch_as_they_were():
    method = torch.nn.RNNBase.flatten_parameters

    def call():
        model = torch.nn.GRU(2, 2)
        for _ in range(100):
            functional_call(model, dict(model.named_parameters()), torch.ones(2, 1, 2))
        assert "flatten_parameters" not in vars(model)

    threads = [threading.Thread(target=call) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert torch.nn.RNNBase.flatten_parameters is method
