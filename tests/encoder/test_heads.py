from typing import Any

import torch
from transformers import BertConfig, BertForTokenClassification, ModernBertConfig, ModernBertForTokenClassification

from nerbert.encoder.folder import load_tagging_model, load_tokenizer, save_model
from nerbert.encoder.fresh import fresh_model, train_tokenizer
from nerbert.encoder.heads import renew_head, tagging_loss
from nerbert.training.batches import IGNORED, Window, collate

TAGS = ["O", "B-x", "I-x"]


def tiny() -> Any:
    config = BertConfig(vocab_size=50, hidden_size=64, num_hidden_layers=1, num_attention_heads=1, num_labels=3)
    return BertForTokenClassification(config).eval()


def test_the_head_is_new_and_the_encoder_is_not() -> None:
    model = tiny()
    torch.nn.init.ones_(model.classifier.bias)
    before = {name: each.clone() for name, each in model.state_dict().items()}
    renew_head(model, 1)
    after = model.state_dict()
    changed = {name for name in before if not torch.equal(before[name], after[name])}
    assert changed == {"classifier.weight", "classifier.bias"}
    assert not after["classifier.bias"].any()
    assert 0.01 < float(after["classifier.weight"].std()) < 0.03


def test_heads_differ_by_seed_alone() -> None:
    heads = []
    for seed, state in ((1, 5), (1, 6), (2, 5)):
        model = tiny()
        torch.manual_seed(state)
        renew_head(model, seed)
        heads.append(model.classifier.weight.clone())
    assert torch.equal(heads[0], heads[1])
    assert not torch.equal(heads[0], heads[2])


def test_norms_of_a_deep_head_start_at_one() -> None:
    config = ModernBertConfig(
        vocab_size=50, hidden_size=64, num_hidden_layers=1, num_attention_heads=1, intermediate_size=64,
        pad_token_id=0, bos_token_id=1, eos_token_id=2, cls_token_id=1, sep_token_id=2,
    )  # fmt: skip
    model = ModernBertForTokenClassification(config)
    renew_head(model, 1)
    assert torch.equal(model.head.norm.weight, torch.ones(64))


def test_a_head_of_the_same_shape_does_not_stay(tmp_path: Any) -> None:
    tokenizer = train_tokenizer(["a b c d"], 300)
    old = fresh_model(len(tokenizer), 1, 64, TAGS, 1)
    save_model(tmp_path, old, tokenizer)
    model = load_tagging_model(str(tmp_path), ["O", "B-new", "I-new"])
    renew_head(model, 1)
    assert model.config.id2label == {0: "O", 1: "B-new", 2: "I-new"}
    assert not torch.equal(model.classifier.weight, old.classifier.weight)
    for one, other in zip(model.bert.parameters(), old.bert.parameters(), strict=True):
        assert torch.equal(one, other)
    assert len(load_tokenizer(str(tmp_path))) == len(tokenizer)


def test_ignored_labels_count_nothing() -> None:
    model = tiny()
    window = Window(0, (2, 7, 8, 3), (0, 1), (1, 2), (1, IGNORED))
    loss, count = tagging_loss(model, collate([window], 0))
    alone, one = tagging_loss(model, collate([Window(0, (2, 7, 8, 3), (0,), (1,), (1,))], 0))
    assert count == one == 1
    torch.testing.assert_close(loss, alone)
