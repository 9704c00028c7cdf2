# Copyright 2026 pose3d_ros maintainers
# SPDX-License-Identifier: Apache-2.0
"""DETR and its successors: what transformers gives, from folders and from DETR's own files."""

import argparse
import json
import pickle
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import cv2
import detectors
import numpy as np
import pytest
from paper import needed_torch
from real import people_image

torch = needed_torch()

from torch import nn  # noqa: E402
from torchvision.models._utils import IntermediateLayerGetter  # noqa: E402
from torchvision.models.resnet import Bottleneck, ResNet  # noqa: E402
from torchvision.ops import FrozenBatchNorm2d, box_convert  # noqa: E402

from pose3d_ros.models.detection import DetectorOptions, select_people  # noqa: E402
from pose3d_ros.models.detr import Detr, Loaded, input_size, load_detr  # noqa: E402
from pose3d_ros.models.session import RuntimeOptions, RuntimeUnavailable  # noqa: E402
from pose3d_ros.models.snapshots import SnapshotError  # noqa: E402

IMAGE = np.ascontiguousarray(people_image()[600:1500:2, 100:900:2])
ANYBODY = DetectorOptions(score_threshold=0.02)


@pytest.fixture(autouse=True)
def no_network(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let every attempt to reach the network fail, rather than time out."""

    def refuse(*_: object) -> None:
        raise AssertionError('the network is reached for')

    monkeypatch.setattr(socket.socket, 'connect', refuse)
    monkeypatch.setattr(socket, 'getaddrinfo', refuse)


@pytest.fixture(scope='module', params=list(detectors.FAMILIES))
def family(request: pytest.FixtureRequest, tmp_path_factory: Any) -> Iterator[tuple[str, Path]]:
    """Return a family and a folder of it."""
    yield request.param, detectors.save(tmp_path_factory.mktemp('hub') / 'n', request.param)


@pytest.fixture(scope='module')
def loaded(family: tuple[str, Path]) -> Loaded:
    """Return the network of a family as `detector` has it."""
    return load_detr(family[1])


@pytest.fixture(scope='module')
def detector(loaded: Loaded) -> Detr:
    """Return the detector of a family."""
    return Detr(loaded)


def upstream(folder: Path, image: np.ndarray, threshold: float) -> tuple[np.ndarray, np.ndarray]:
    """Return people's boxes (x, y, w, h) and scores as transformers' documentation gets them."""
    from PIL import Image
    from transformers import AutoImageProcessor, AutoModelForObjectDetection

    processor = AutoImageProcessor.from_pretrained(folder)
    model = AutoModelForObjectDetection.from_pretrained(folder).eval()
    picture = Image.fromarray(cv2.cvtColor(image, cv2.COLOR_BGR2RGB))
    with torch.no_grad():
        outputs = model(**processor(images=picture, return_tensors='pt'))
    (found,) = processor.post_process_object_detection(
        outputs, threshold, target_sizes=[(picture.height, picture.width)]
    )
    names = [model.config.id2label[label.item()].lower() for label in found['labels']]
    people = torch.tensor([name == 'person' for name in names], dtype=torch.bool)
    boxes = box_convert(found['boxes'][people], 'xyxy', 'xywh')
    return boxes.numpy().astype(float), found['scores'][people].numpy().astype(float)


def test_finds_what_transformers_finds(family: tuple[str, Path], detector: Detr) -> None:
    name, folder = family
    persons = detector(IMAGE, ANYBODY)
    boxes, scores = upstream(folder, IMAGE, ANYBODY.score_threshold)
    assert len(boxes) >= 5, f'{name} of this seed sees nobody: the test would show nothing'
    wanted = select_people(boxes, scores, IMAGE.shape, ANYBODY)
    np.testing.assert_allclose(persons.scores, wanted.scores, atol=2e-4)
    distances = np.abs(persons.boxes[:, None] - wanted.boxes).max(axis=2)
    assert distances.min(axis=0).max() < 0.1  # equal scores may come in another order
    assert distances.min(axis=1).max() < 0.1


def test_boxes_lie_in_the_image_and_the_options_hold(detector: Detr) -> None:
    everybody = detector(IMAGE, ANYBODY)
    assert (everybody.boxes[:, :2] >= 0).all()
    assert (everybody.boxes[:, :2] + everybody.boxes[:, 2:] <= [400, 450]).all()
    assert (np.diff(everybody.scores) <= 0).all()
    some = detector(IMAGE, DetectorOptions(score_threshold=0.02, max_people=3))
    np.testing.assert_array_equal(some.boxes, everybody.boxes[:3])
    middle = float(np.median(everybody.scores))
    surer = detector(IMAGE, DetectorOptions(score_threshold=middle))
    assert len(surer) == (everybody.scores > middle).sum()
    tall_px = float(np.median(everybody.boxes[:, 3]))
    tall = detector(IMAGE, DetectorOptions(score_threshold=0.02, min_height_px=tall_px))
    assert 0 < len(tall) == (everybody.boxes[:, 3] >= tall_px).sum()
    network = detector.networks[0]
    assert network.precision == 'f32' and network.busy_s > 0
    network.warm_up()
    assert network.busy_s == 0


def test_any_image_goes_in(family: tuple[str, Path], detector: Detr) -> None:
    shapes = [(1, 1, 3), (64, 64, 3), (200, 30, 3)]
    if family[0] != 'yolos':  # whose image processor makes lines of a pixel vanish
        shapes += [(400, 3, 3), (2, 300, 3)]
    for shape in shapes:
        persons = detector(np.full(shape, 200, np.uint8), ANYBODY)
        assert (persons.boxes[:, 2:] <= [shape[1], shape[0]]).all()


def test_the_long_side_of_the_input_can_be_chosen() -> None:
    edges = {'shortest_edge': 800, 'longest_edge': 1333, 'height': None}
    assert input_size(edges, 0) == {'shortest_edge': 800, 'longest_edge': 1333}
    assert input_size(edges, 640) == {'shortest_edge': 640, 'longest_edge': 640}
    assert input_size({'height': 640, 'width': 640}, 0) == {'height': 640, 'width': 640}
    assert input_size({'height': 640, 'width': 640}, 500) == {'height': 512, 'width': 512}


def test_another_input_size_reaches_the_network(
    family: tuple[str, Path], loaded: Loaded, detector: Detr
) -> None:
    seen = []
    hook = loaded.network.register_forward_pre_hook(
        lambda _, args, given: seen.append(tuple(given['pixel_values'].shape[2:])),
        with_kwargs=True,
    )
    with hook:
        detector(IMAGE, DetectorOptions(input_long_side=160))
    square, multiples_of_16 = (160, 160), (160, 128)
    wanted = {'rt_detr_v2': square, 'd_fine': square, 'yolos': multiples_of_16}
    assert seen == [wanted.get(family[0], (160, 142))]


def test_bf16_is_close_or_refused(family: tuple[str, Path], detector: Detr) -> None:
    name, folder = family
    options = RuntimeOptions(precision='bf16')
    if name == 'yolos':
        with pytest.raises(RuntimeUnavailable, match='bf16'):
            Detr(load_detr(folder), options)
        return
    coarse = Detr(load_detr(folder), options)
    assert coarse.networks[0].precision == 'bf16'
    found, wanted = (d(IMAGE, DetectorOptions(score_threshold=0.001)) for d in (coarse, detector))
    assert abs(len(found) - len(wanted)) <= 3
    assert found.scores.max() == pytest.approx(wanted.scores.max(), abs=0.05)


def test_a_gpu_that_is_not_there_is_said(tmp_path: Path) -> None:
    loaded = load_detr(detectors.save(tmp_path / 'n'))
    with pytest.raises(RuntimeUnavailable, match=r"device 'GPU\.99' is not there"):
        Detr(loaded, RuntimeOptions('GPU.99'))


# DETR's original files ---------------------------------------------------------------------------


class Layer(nn.Module):
    """A layer of the original's encoder, or decoder: normalised after each sum."""

    def __init__(self, width: int, ffn: int, decoder: bool) -> None:
        super().__init__()
        self.self_attn = nn.MultiheadAttention(width, 8)
        if decoder:
            self.multihead_attn = nn.MultiheadAttention(width, 8)
            self.norm3 = nn.LayerNorm(width)
        self.linear1, self.linear2 = nn.Linear(width, ffn), nn.Linear(ffn, width)
        self.norm1, self.norm2 = nn.LayerNorm(width), nn.LayerNorm(width)

    def encode(self, x: Any, position: Any) -> Any:
        q = x + position
        x = self.norm1(x + self.self_attn(q, q, x)[0])
        return self.norm2(x + self.linear2(self.linear1(x).relu()))

    def decode(self, x: Any, memory: Any, position: Any, queries: Any) -> Any:
        q = x + queries
        x = self.norm1(x + self.self_attn(q, q, x)[0])
        x = self.norm2(x + self.multihead_attn(x + queries, memory + position, memory)[0])
        return self.norm3(x + self.linear2(self.linear1(x).relu()))


class Original(nn.Module):
    """DETR as in its paper's appendix and facebookresearch's code, small, under its own names."""

    def __init__(self, width: int = 32, ffn: int = 48, queries: int = 20) -> None:
        super().__init__()
        body = ResNet(Bottleneck, [1, 2, 1, 1], norm_layer=FrozenBatchNorm2d)
        joined = nn.Module()
        joined.body = IntermediateLayerGetter(body, {'layer4': '0'})
        self.backbone = nn.ModuleList([joined])
        self.transformer = nn.Module()
        for name, decoder in (('encoder', False), ('decoder', True)):
            stack = nn.Module()
            stack.layers = nn.ModuleList(Layer(width, ffn, decoder) for _ in range(2))
            setattr(self.transformer, name, stack)
        self.transformer.decoder.norm = nn.LayerNorm(width)
        self.input_proj = nn.Conv2d(2048, width, 1)
        self.query_embed = nn.Embedding(queries, width)
        self.class_embed = nn.Linear(width, 92)
        self.bbox_embed = nn.Module()
        sizes = [(width, width), (width, width), (width, 4)]
        self.bbox_embed.layers = nn.ModuleList(nn.Linear(*size) for size in sizes)

    def forward(self, pixels: Any) -> tuple[Any, Any]:
        features = self.backbone[0].body(pixels)['0']
        position = sine_positions(*features.shape[2:], self.query_embed.embedding_dim)
        x = self.input_proj(features).flatten(2).permute(2, 0, 1)
        for layer in self.transformer.encoder.layers:
            x = layer.encode(x, position)
        queries = self.query_embed.weight[:, None]
        y = torch.zeros_like(queries)
        for layer in self.transformer.decoder.layers:
            y = layer.decode(y, x, position, queries)
        y = self.transformer.decoder.norm(y)[:, 0]
        box = y
        for layer in self.bbox_embed.layers[:2]:
            box = layer(box).relu()
        return self.class_embed(y), self.bbox_embed.layers[2](box).sigmoid()


def sine_positions(height: int, width: int, channels: int) -> Any:
    """Return (h * w, 1, channels): rows in the first half, columns in the second."""
    half = channels // 2
    period = 10000 ** (2 * torch.div(torch.arange(half), 2, rounding_mode='floor') / half)
    halves = []
    for n in (height, width):
        angle = torch.arange(1, n + 1) / (n + 1e-6) * 2 * torch.pi
        phase = angle[:, None] / period
        halves.append(torch.stack([phase[:, 0::2].sin(), phase[:, 1::2].cos()], 2).flatten(1))
    rows = halves[0][:, None].expand(height, width, half)
    columns = halves[1][None].expand(height, width, half)
    return torch.cat([rows, columns], 2).reshape(height * width, 1, channels)


@pytest.fixture(scope='module')
def original(tmp_path_factory: Any) -> tuple[Any, Path]:
    """Return the original network and a file as its training leaves it."""
    torch.manual_seed(3)
    network = Original().eval()
    with torch.no_grad():
        detectors.randomise_norms(network)
        network.class_embed.bias[1] += 3
        network.query_embed.weight.mul_(3)
    file = tmp_path_factory.mktemp('original') / 'detr-r50.pth'
    args = argparse.Namespace(lr=1e-4, dataset_file='coco')
    torch.save({'model': network.state_dict(), 'epoch': 3, 'args': args}, file)
    return network, file


def test_an_original_file_computes_what_the_original_does(original: tuple[Any, Path]) -> None:
    network, file = original
    loaded = load_detr(file)
    assert (loaded.person, loaded.network.config.num_labels) == (1, 91)
    pixels = torch.randn(1, 3, 160, 224)
    with torch.no_grad():
        logits, boxes = network(pixels)
        found = loaded.network(pixels)
    assert logits.std() > 0.1 and boxes.std() > 0.01
    torch.testing.assert_close(found.logits[0], logits, atol=2e-5, rtol=1e-5)
    torch.testing.assert_close(found.pred_boxes[0], boxes, atol=2e-5, rtol=1e-5)


def test_an_original_file_with_its_published_images(original: tuple[Any, Path]) -> None:
    """Shorter side 800, longer at most 1333, ImageNet's mean and deviation: through the network."""
    from torchvision.transforms.v2 import functional as transforms

    network, file = original
    rgb = torch.from_numpy(IMAGE[..., ::-1].copy()).permute(2, 0, 1)
    small = transforms.resize(rgb, [900, 800], antialias=True).float() / 255
    assert small.shape[1:] == (900, 800)
    mean, std = [0.485, 0.456, 0.406], [0.229, 0.224, 0.225]
    with torch.no_grad():
        logits, boxes = network(transforms.normalize(small, mean, std)[None])
    scores, classes = logits.softmax(1)[:, :91].max(1)
    chosen = (classes == 1) & (scores > 0.1)
    xywh = box_convert(boxes[chosen], 'cxcywh', 'xywh') * torch.tensor([400, 450, 400, 450])
    options = DetectorOptions(score_threshold=0.1)
    wanted = select_people(xywh.numpy(), scores[chosen].numpy(), IMAGE.shape, options)
    persons = Detr(load_detr(file))(IMAGE, options)
    assert len(wanted) > 3
    np.testing.assert_allclose(persons.scores, wanted.scores, atol=1e-4)
    np.testing.assert_allclose(persons.boxes, wanted.boxes, atol=0.1)


def changed(original: tuple[Any, Path], folder: Path, name: str = 'x.pth', **changes: Any) -> Path:
    """Write the original's tensors with some replaced, or left out where None."""
    tensors = {**original[0].state_dict(), **changes}
    torch.save({'model': {k: v for k, v in tensors.items() if v is not None}}, folder / name)
    return folder / name


def test_other_files_are_refused(original: tuple[Any, Path], tmp_path: Path) -> None:
    with pytest.raises(SnapshotError, match='does not exist'):
        load_detr(tmp_path / 'gone.pth')
    torch.save({'model': {'a.weight': torch.zeros(2)}}, tmp_path / 'other.pth')
    with pytest.raises(SnapshotError, match=r'another network \(keys a\.weight'):
        load_detr(tmp_path / 'other.pth')
    key = 'transformer.decoder.layers.1.norm3.weight'
    with pytest.raises(SnapshotError, match=r'decoder\.layers\.1.*is missing'):
        load_detr(changed(original, tmp_path, **{key: None}))
    with pytest.raises(SnapshotError, match=r'mask_head\.x does not belong there'):
        load_detr(changed(original, tmp_path, **{'mask_head.x': torch.zeros(1)}))
    few = {
        k: torch.zeros(4, *s) for k, s in (('class_embed.weight', [32]), ('class_embed.bias', []))
    }
    with pytest.raises(SnapshotError, match='knows 3 classes'):
        load_detr(changed(original, tmp_path, **few))
    with pytest.raises(SnapshotError, match='DC5'):
        load_detr(changed(original, tmp_path, 'detr-r50-dc5-f0fb7ef5.pth'))
    truncated = tmp_path / 'cut.pth'
    truncated.write_bytes(original[1].read_bytes()[:5000])
    with pytest.raises(SnapshotError, match='damaged'):
        load_detr(truncated)


class Hostile:
    def __init__(self, trace: Path) -> None:
        self.trace = trace

    def __reduce__(self) -> tuple[Any, ...]:
        return (Path.touch, (self.trace,))


def test_code_in_a_file_is_not_run(original: tuple[Any, Path], tmp_path: Path) -> None:
    trace = tmp_path / 'ran'
    content = {'model': original[0].state_dict(), 'args': Hostile(trace)}
    torch.save(content, tmp_path / 'hostile.pth')
    with pytest.raises(SnapshotError, match='could run code'):
        load_detr(tmp_path / 'hostile.pth')
    folder = detectors.save(tmp_path / 'folder')
    (folder / 'model.safetensors').unlink()
    (folder / 'pytorch_model.bin').write_bytes(pickle.dumps({'x': Hostile(trace)}))
    with pytest.raises(SnapshotError, match='cannot be loaded'):
        load_detr(folder)
    torch.save({'x': Hostile(trace)}, folder / 'pytorch_model.bin')
    with pytest.raises(SnapshotError, match='cannot be loaded'):
        load_detr(folder)
    assert not trace.exists()
    pickle.loads(pickle.dumps(Hostile(trace)))  # the bait does bite
    assert trace.exists()


# Folders -----------------------------------------------------------------------------------------


def edited(folder: Path, **changes: Any) -> Path:
    """Change entries of a config.json; None takes one out."""
    file = folder / 'config.json'
    content = json.loads(file.read_text()) | changes
    file.write_text(json.dumps({k: v for k, v in content.items() if v is not None}))
    return folder


def test_a_folder_without_people_is_refused(tmp_path: Path) -> None:
    names = detectors.labels(91, 1, 'pedestrian')
    folder = edited(detectors.save(tmp_path / 'n'), **names)
    with pytest.raises(
        SnapshotError, match=r"no class 'person' in id2label, which has 91: thing 0"
    ):
        load_detr(folder)


def test_other_folders_are_refused(tmp_path: Path) -> None:
    with pytest.raises(SnapshotError, match='cannot be loaded'):
        load_detr(tmp_path)
    folder = detectors.save(tmp_path / 'n')
    (folder / 'preprocessor_config.json').unlink()
    with pytest.raises(SnapshotError, match='cannot be loaded'):
        load_detr(folder)
    folder = edited(detectors.save(tmp_path / 'layers'), decoder_layers=3)
    with pytest.raises(SnapshotError, match=r'not a DetrForObjectDetection: .*\.2\..* is missing'):
        load_detr(folder)
    folder = edited(detectors.save(tmp_path / 'shape'), d_model=64)
    with pytest.raises(SnapshotError, match='cannot be loaded'):
        load_detr(folder)
    folder = edited(detectors.save(tmp_path / 'type'), model_type='vit')
    with pytest.raises(SnapshotError, match='cannot be loaded'):
        load_detr(folder)
    folder = detectors.save(tmp_path / 'cut')
    tensors = folder / 'model.safetensors'
    tensors.write_bytes(tensors.read_bytes()[:3000])
    with pytest.raises(SnapshotError, match='cannot be loaded'):
        load_detr(folder)


def test_code_of_a_folder_is_not_run(tmp_path: Path) -> None:
    trace = tmp_path / 'ran'
    folder = detectors.save(tmp_path / 'n')
    (folder / 'code.py').write_text(f'from pathlib import Path\nPath({str(trace)!r}).touch()\n')
    auto = {'AutoConfig': 'code.Config', 'AutoModelForObjectDetection': 'code.Model'}
    load_detr(edited(folder, auto_map=auto))
    with pytest.raises(SnapshotError, match='cannot be loaded'):
        load_detr(edited(folder, model_type='unheard_of'))
    assert not trace.exists()


def test_a_folder_that_wants_a_resnet_of_timm_needs_none(tmp_path: Path) -> None:
    """As facebook/detr-resnet-50 is: torchvision's names in the backbone, and timm's model."""
    from safetensors.torch import save_file
    from transformers import ResNetConfig

    torch.manual_seed(1)
    network = detectors.detr(
        backbone_config=ResNetConfig(depths=[3, 4, 6, 3], out_features=['stage4'])
    )
    with torch.no_grad():
        detectors.randomise_norms(network)
    folder = detectors.save(tmp_path / 'n', network=network.eval())
    body = ResNet(Bottleneck, [3, 4, 6, 3], norm_layer=FrozenBatchNorm2d)
    theirs = {k: v for k, v in body.state_dict().items() if not k.startswith('fc.')}
    own = network.model.backbone.model.state_dict()
    own = {k: v for k, v in own.items() if 'num_batches' not in k}
    assert len(own) == len(theirs)  # in another order, but for the shortcut's place
    tensors = {k: v for k, v in network.state_dict().items() if '.backbone.' not in k}
    prefix = 'model.backbone.conv_encoder.model.'
    for key, value in own.items():
        tensors[prefix + torchvision_name(key)] = value.contiguous()
    assert {k.removeprefix(prefix) for k in tensors if k.startswith(prefix)} == set(theirs)
    save_file(tensors, folder / 'model.safetensors', {'format': 'pt'})
    timm = {'use_timm_backbone': True, 'backbone': 'resnet50', 'use_pretrained_backbone': True}
    loaded = load_detr(edited(folder, backbone_config=None, **timm))
    pixels = torch.randn(1, 3, 96, 128)
    with torch.no_grad():
        torch.testing.assert_close(loaded.network(pixels).logits, network(pixels).logits)


def torchvision_name(key: str) -> str:
    """Return what torchvision calls a tensor of transformers' ResNet."""
    kinds = {'convolution': 'conv', 'normalization': 'bn'}
    parts = key.split('.')
    if parts[0] == 'embedder':
        return f'{kinds[parts[2]]}1.{parts[3]}'
    head = f'layer{int(parts[2]) + 1}.{parts[4]}.'
    if parts[5] == 'shortcut':
        return f'{head}downsample.{int(parts[6] == "normalization")}.{parts[7]}'
    return f'{head}{kinds[parts[7]]}{int(parts[6]) + 1}.{parts[8]}'
