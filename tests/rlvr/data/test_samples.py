"""What rejection sampling keeps of samples, and why it drops the others."""

from rlvr.data.samples import Asked, Sample, Verdict, verified, words_of

NOTHING = Asked(frozenset(), frozenset())


def sample(text="7", task="t", success=True, tokens=5, reward=1.0, finished=True, asked="3+4=?"):
    return Sample(task, [{"role": "user", "content": asked}], text, tokens, reward, success, finished)


def test_each_reason_is_counted():
    given = [
        sample("long way to 7", tokens=9),
        sample("7"),
        sample("7 "),
        sample("8", success=False),
        sample("six and one", tokens=7),
        sample("7", finished=False),
        sample("7", task="asked"),
        sample("7", task="other", asked="What   is IT?"),
    ]
    asked = Asked(frozenset({"asked"}), frozenset({words_of([{"role": "user", "content": "what is it?"}])}))
    kept, counts = verified(given, asked, max_per_task=2, min_reward=None)
    assert [each.text for each in kept] == ["7", "six and one"]  # the shorter first
    assert counts == {
        Verdict.KEPT: 2,
        Verdict.FAILED: 1,
        Verdict.CUT_SHORT: 1,
        Verdict.DUPLICATE: 1,
        Verdict.OVER_CAP: 1,
        Verdict.CONTAMINATED: 2,
    }


def test_a_least_reward_replaces_success():
    given = [sample("a", reward=0.6, success=False), sample("b", reward=0.4), sample("c", reward=None)]
    kept, _ = verified(given, NOTHING, max_per_task=9, min_reward=0.5)
    assert [each.text for each in kept] == ["a"]


def test_a_failed_environment_is_no_success():
    assert verified([sample(success=None)], NOTHING, 9, None)[1] == {Verdict.FAILED: 1}
