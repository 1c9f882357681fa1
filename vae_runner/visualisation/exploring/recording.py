"""A decoder is watched while it decodes one code, and what it does to that code is written down.

Under `torch.no_grad` a module of whatever make comes down to the operations of ATen. Of these, all that see nothing of
the code give the same at every code, and are constants: weights, coordinates, a latent frame. The others are steps.
What is not known in the page's language (`vocabulary`), what draws at random and what decides by a value is refused.
"""

import inspect
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.modules.module import register_module_forward_hook, register_module_forward_pre_hook
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from vae_runner.errors import UserError
from vae_runner.layers import plainly
from vae_runner.visualisation.exploring import layer_words, number_words, shape_words
from vae_runner.visualisation.exploring.program import Program
from vae_runner.visualisation.exploring.vocabulary import WORDS, Says, Unknown

__all__ = ["recorded"]

VOCABULARY = (layer_words, number_words, shape_words)  # which fill `WORDS`


def recorded(decode: Callable[[Tensor], Tensor], model: nn.Module, dims: int) -> Program:
    """Returns what `decode` does with a code (1, `dims`) as a program; `model` has its layers, for messages.

    Raises:
        UserError: one line, for a layer that the page does not know.
    """
    like = next(model.parameters())
    codes = torch.zeros(1, dims, dtype=like.dtype, device=like.device)
    modules = _Modules(model)
    with modules.watched(), plainly(model), torch.no_grad(), _Recorder(codes, modules) as recorder:
        images = decode(codes)
    return recorder.finished(images)


class _Modules:
    """Which of a model's modules is at work."""

    def __init__(self, model: nn.Module) -> None:
        self._names = {id(module): f"{name} ({type(module).__name__})" for name, module in model.named_modules()}
        self._at_work: list[str] = []

    @contextmanager
    def watched(self) -> Iterator[None]:
        """Inside, modules are followed."""
        before = register_module_forward_pre_hook(self._enter)
        after = register_module_forward_hook(self._leave, always_call=True)
        try:
            yield
        finally:
            before.remove()
            after.remove()

    def _enter(self, module: nn.Module, inputs: Any) -> None:
        self._at_work.append(self._names.get(id(module), type(module).__name__))

    def _leave(self, module: nn.Module, inputs: Any, outputs: Any) -> None:
        self._at_work.pop()

    def __str__(self) -> str:
        return self._at_work[-1] if self._at_work else "the model"


class _Recorder(TorchDispatchMode):
    """Writes down what becomes of the codes. Tensors are told apart by themselves, so all that were seen are kept."""

    def __init__(self, codes: Tensor, modules: _Modules) -> None:
        super().__init__()
        self._program = Program([codes.numel()])
        self._modules = modules
        self._registers: dict[int, int | None] = {id(codes): 0}  # of tensors; None: of one that was overwritten
        self._constants: dict[int, int] = {}
        self._seen: list[Tensor] = [codes]

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        inputs = [leaf for leaf in tree_leaves((args, kwargs)) if isinstance(leaf, Tensor)]
        result = func(*args, **kwargs)
        name = func.overloadpacket.__name__
        if torch.Tag.nondeterministic_seeded in func.tags:
            raise self._refusal(f"{name} draws at random")
        if any(id(tensor) in self._registers for tensor in inputs):
            self._write(name, func, args, kwargs, result)
        elif func._schema.is_mutable:
            self._forget(inputs)
        return result

    def finished(self, images: Tensor) -> Program:
        """Returns the program, whose result are these images."""
        if id(images) not in self._registers:
            raise UserError("the decoder's images do not depend on its codes")
        self._program.result = self._place(images) or 0
        self._program.shape = tuple(images.shape[1:])
        return self._program

    def _write(self, name: str, func: Any, args: Any, kwargs: Any, result: Any) -> None:
        is_in_place = name.endswith("_") and not name.startswith("_")
        word = WORDS.get(name.removesuffix("_") if is_in_place else name)
        if word is None:
            raise self._refusal(f"{name} is not known")
        says = Says(self._program, self._place, func, result)
        try:
            inspect.signature(word).bind(says, *args, **kwargs)
        except TypeError:
            raise self._refusal(f"{name} is not known in this form") from None
        try:
            made = word(says, *args, **kwargs)
        except Unknown as error:
            raise self._refusal(f"{name} {error}") from None
        results = [leaf for leaf in tree_leaves(result) if isinstance(leaf, Tensor)]
        if is_in_place:
            self._overwrite(results[0])
        for tensor, register in zip(results, made if isinstance(made, list) else [made], strict=False):
            self._registers[id(tensor)] = register
            self._seen.append(tensor)

    def _overwrite(self, tensor: Tensor) -> None:
        """Others that lie in the same memory have changed too, and are not to be used any more."""
        place = tensor.untyped_storage().data_ptr()
        for other in self._seen:
            if other is not tensor and other.untyped_storage().data_ptr() == place:
                self._registers[id(other)] = None

    def _forget(self, tensors: list[Tensor]) -> None:
        """Constants in memory that may have been overwritten are kept anew where they are used again."""
        places = {tensor.untyped_storage().data_ptr() for tensor in tensors}
        for other in self._seen:
            if other.untyped_storage().data_ptr() in places:
                self._constants.pop(id(other), None)

    def _place(self, tensor: Tensor | None) -> int | None:
        """How a step names a tensor."""
        if tensor is None:
            return None
        if id(tensor) in self._registers:
            register = self._registers[id(tensor)]
            if register is None:
                raise Unknown("reads what was overwritten in place")
            return register
        if id(tensor) not in self._constants:
            self._constants[id(tensor)] = self._program.constant(tensor)
            self._seen.append(tensor)
        return self._constants[id(tensor)]

    def _refusal(self, what: str) -> UserError:
        return UserError(f"{self._modules}: {what}")
