from pathassets.adapters.partial import PARTIAL, hold_partials, sweep_partials
from pathassets.adapters.store import Store
from pathassets.core.address import Address


def test_what_nobody_here_has_made_is_left_where_it_is(tmp_path):
    store = Store(tmp_path)
    (tmp_path / PARTIAL / "notes").mkdir(parents=True)
    (tmp_path / PARTIAL / "notes/mine.txt").write_text("x")
    assert sweep_partials(store) == 0
    assert (tmp_path / PARTIAL / "notes/mine.txt").exists()


def test_one_that_is_asked_for_twice_is_held_once(tmp_path):
    address = Address("features", "one", "a", "0")
    with hold_partials(Store(tmp_path), [address, address]) as partials:
        assert partials[0].folder == partials[1].folder
