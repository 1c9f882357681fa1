import pickle

import pytest

from vae_runner import state
from vae_runner.state import StateKey, posterior_key, prior_key, state_key

KEYS = [value for value in vars(state).values() if isinstance(value, StateKey)]


@pytest.mark.parametrize("key", [*KEYS, posterior_key(0), posterior_key(12), prior_key(1)], ids=repr)
def test_a_saved_part_holds_the_same_key(key: StateKey) -> None:
    assert pickle.loads(pickle.dumps(key)) is key


@pytest.mark.parametrize("name", ["x", "posterior_0", "prior_x", "statekey", "own"])
def test_a_key_that_could_not_be_found_again_is_not_saved(name: str) -> None:
    with pytest.raises(TypeError, match=f"^StateKey.'{name}'. cannot be pickled: only keys of vae_runner.state"):
        pickle.dumps(state_key(name))
