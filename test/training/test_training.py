"""The beginning of the training system: data, views, losses, a run."""

import cv2
import numpy as np
import pytest
import torch

from bisenet_ros.checkpoints import load
from bisenet_ros.errors import ArgumentError, DataError
from bisenet_ros.training.augmentation import RandomView, colour_jitter
from bisenet_ros.training.datasets import CamVid
from bisenet_ros.training.losses import CrossEntropy, log_weights, with_boosters
from bisenet_ros.training.module import parameter_groups
from bisenet_ros.training.recipe import Recipe
from bisenet_ros.training.run import ema, export, train


def write_pair(folder, name: str, label: np.ndarray) -> None:
    for kind in ("images", "labels"):
        (folder / kind).mkdir(parents=True, exist_ok=True)
    image = np.repeat(label[..., None] * 20, 3, 2).astype(np.uint8)
    cv2.imwrite(str(folder / "images" / name), image)
    cv2.imwrite(str(folder / "labels" / name), label)


@pytest.fixture
def camvid(tmp_path):
    random = np.random.default_rng(0)
    for split, count in (("train", 4), ("val", 2)):
        for i in range(count):
            coarse = random.integers(0, 12, (3, 4), np.uint8)
            label = cv2.resize(coarse, (128, 96), interpolation=cv2.INTER_NEAREST)
            write_pair(tmp_path / split, f"{i}.png", label)
    return tmp_path


def test_void_becomes_255_and_ids_stay(camvid):
    data = CamVid(camvid, "train")
    image, label = data[0]
    raw = cv2.imread(str(camvid / "train/labels/0.png"), cv2.IMREAD_UNCHANGED)
    assert image.shape == (3, 96, 128) and image.dtype == torch.uint8
    assert torch.equal(label == 255, torch.from_numpy(raw == 11))
    assert torch.equal(label[label != 255], torch.from_numpy(raw.astype(np.int64))[raw != 11])
    assert data.class_shares().sum() == pytest.approx(1)


@pytest.mark.parametrize(
    ("spoil", "said"),
    [
        (lambda root: (root / "train/labels/1.png").unlink(), "1.png is missing"),
        (lambda root: (root / "train/images/1.png").write_bytes(b"x"), "1.png cannot be read"),
        (
            lambda root: cv2.imwrite(
                str(root / "train/labels/1.png"), np.full((96, 128), 12, np.uint8)
            ),
            "1.png holds id 12",
        ),
        (
            lambda root: cv2.imwrite(str(root / "train/labels/1.png"), np.zeros((4, 4), np.uint8)),
            r"1.png is \(4, 4\)",
        ),
    ],
)
def test_bad_data_is_named_before_training(camvid, spoil, said):
    spoil(camvid)
    with pytest.raises(DataError, match=said):
        CamVid(camvid, "train")


def test_a_split_that_is_not_there(camvid):
    with pytest.raises(DataError, match="holds no PNG images"):
        CamVid(camvid, "test")


@pytest.mark.parametrize("seed", range(8))
def test_views_move_image_and_label_together_and_never_mix_ids(seed):
    random = np.random.default_rng(seed)
    ids = np.array([0, 3, 7, 10, 255], np.uint8)
    label = cv2.resize(random.choice(ids, (6, 8)), (80, 60), interpolation=cv2.INTER_NEAREST)
    image = np.repeat(label[..., None], 3, 2)
    view = RandomView((48, 64), (0.6, 1.8), rare=(7,), generator=random)
    seen, found = view(image, label)
    assert seen.shape == (48, 64, 3) and found.shape == (48, 64)
    assert set(np.unique(found)) <= set(ids)
    # Away from edges, where the image is interpolated, both must show the same thing.
    window = np.ones((7, 7), np.uint8)
    inside = cv2.erode(found, window) == cv2.dilate(found, window)
    inside[:3] = inside[-3:] = inside[:, :3] = inside[:, -3:] = False
    inside &= found != 255
    assert inside.any()
    assert np.array_equal(seen[..., 0][inside], found[inside])


def test_unzoomed_uncropped_unflipped_views_are_the_image():
    random = np.random.default_rng(1)
    image, label = random.integers(0, 255, (40, 50, 3), np.uint8), np.zeros((40, 50), np.uint8)
    seen, found = RandomView((40, 50), (1.0, 1.0), flip=0, generator=random)(image, label)
    assert np.array_equal(seen, image) and np.array_equal(found, label)
    mirrored, _ = RandomView((40, 50), (1.0, 1.0), flip=1, generator=random)(image, label)
    assert np.array_equal(mirrored, image[:, ::-1])


def test_outside_the_image_is_unlabelled():
    view = RandomView((60, 60), (0.5, 0.5), flip=0, generator=np.random.default_rng(0))
    _, found = view(np.zeros((40, 40, 3), np.uint8), np.zeros((40, 40), np.uint8))
    assert (found == 255).mean() == pytest.approx(1 - 400 / 3600, abs=0.03)


def test_rare_classes_are_looked_for():
    label = np.zeros((200, 200), np.uint8)
    label[150:154, 20:24] = 5
    image = np.zeros((200, 200, 3), np.uint8)
    hits = 0
    view = RandomView((40, 40), (1, 1), rare=(5,), rare_chance=1.0)
    for _ in range(20):
        hits += bool((view(image, label)[1] == 5).any())
    assert hits == 20


def test_colour_jitter_keeps_the_range():
    images = torch.rand(2, 3, 8, 8)
    shaken = colour_jitter(0.4)(images)
    assert shaken.shape == images.shape and shaken.min() >= 0 and shaken.max() <= 1


def test_cross_entropy_of_nothing_but_ignored_pixels_is_zero():
    logits = torch.randn(1, 3, 4, 4, requires_grad=True)
    loss = CrossEntropy()(logits, torch.full((1, 4, 4), 255))
    loss.backward()
    assert loss == 0 and not logits.grad.any()


def test_boosters_count_as_much_as_their_share():
    torch.manual_seed(0)
    labels = torch.randint(0, 3, (1, 16, 16))
    logits, booster = torch.randn(1, 3, 2, 2), torch.randn(1, 3, 8, 8)
    loss = CrossEntropy(log_weights(np.array([0.5, 0.4, 0.1])))
    alone = with_boosters(loss, logits, (), labels)
    other = with_boosters(loss, booster, (), labels)
    assert with_boosters(loss, logits, (booster,), labels, 0.5) == pytest.approx(
        float(alone + 0.5 * other)
    )


def test_rare_classes_weigh_more_and_the_mean_is_one():
    weights = log_weights(np.array([0.6, 0.39, 0.01]))
    assert weights[2] > weights[1] > weights[0]
    assert float(weights.mean()) == pytest.approx(1)


def test_norms_and_biases_do_not_decay():
    network = torch.nn.Sequential(torch.nn.Conv2d(3, 4, 3), torch.nn.BatchNorm2d(4))
    decaying, free = parameter_groups(network, 0.01)
    assert [p.ndim for p in decaying["params"]] == [4]
    assert len(free["params"]) == 3 and free["weight_decay"] == 0


def test_the_average_starts_as_the_weights_and_ends_at_its_decay():
    average = ema(0.9)
    zero, one = torch.tensor(0.0), torch.tensor(1.0)
    assert average(zero, one, torch.tensor(0)) == pytest.approx(0.9)
    assert average(zero, one, torch.tensor(10_000)) == pytest.approx(0.1)


def test_recipes_refuse_options_that_do_not_exist(tmp_path):
    path = tmp_path / "recipe.yaml"
    path.write_text("learning_rat: 1\n")
    with pytest.raises(ArgumentError, match="learning_rat"):
        Recipe.read(path)
    with pytest.raises(ArgumentError, match="cannot be read"):
        Recipe.read(tmp_path / "none.yaml")


def test_a_recipe_survives_its_file(tmp_path):
    recipe = Recipe(data="here", iterations=5)
    recipe.write(tmp_path / "recipe.yaml")
    assert Recipe.read(tmp_path / "recipe.yaml") == recipe
    assert Recipe.read(tmp_path / "recipe.yaml", iterations=7, out=None).iterations == 7


def test_a_short_run_ends_in_a_weights_file_and_goes_on_from_its_checkpoint(camvid, tmp_path):
    recipe = Recipe(
        data=str(camvid),
        out=str(tmp_path / "run"),
        iterations=2,
        batch=2,
        crop_height=64,
        crop_width=64,
        validate_every=2,
        precision="32-true",
    )
    module = train(recipe)
    assert 0 <= module.val_miou <= 1
    path = export(module, recipe, tmp_path / "weights.safetensors", "a test")
    network, card = load(path)
    assert card.scores["val_miou"] == pytest.approx(module.val_miou, abs=1e-5)
    assert not network.options.boosters and card.resolution == (360, 480)
    longer = Recipe(**{**vars(recipe), "iterations": 4})
    assert train(longer, resume=True).trainer.global_step == 4
    assert (tmp_path / "run/recipe.yaml").exists() and (tmp_path / "run/last.ckpt").exists()
