"""The network and its loss against counts and formulas written out by hand."""

import numpy as np
import pytest
import torch

from avalanche_assets.detectors.inputs import network_channels, network_input, scale, unscale
from avalanche_assets.detectors.network import VaeNetwork, kl_divergence, reconstruction_error
from avalanche_assets.detectors.training import reproducible
from avalanche_assets.detectors.vae import Vae

PAPER = network_channels("aspect")


def test_the_papers_network_has_12_892_252_parameters():
    network = VaeNetwork(PAPER, base_channels=64, latent_size=300)
    assert sum(parameter.numel() for parameter in network.parameters()) == 12_892_252


def test_shapes_of_code_and_reconstruction():
    network = VaeNetwork(PAPER, 8, 20).eval()
    reconstruction, mean, log_variance = network(torch.zeros(3, 4, 64, 64))
    assert reconstruction.shape == (3, 4, 64, 64)
    assert mean.shape == log_variance.shape == (3, 20, 1, 1)
    assert reconstruction.abs().max() <= 1


def test_convolutions_start_kaiming_normal_by_fan_out():
    with reproducible(0, 1):
        weights = VaeNetwork(PAPER, 16, 50).encoder[2].weight  # 16 -> 32 channels, 4 x 4
    expected = np.sqrt(2 / (32 * 16))
    # 8,192 draws: the relative standard error of their standard deviation is 0.8 percent.
    assert weights.std().item() == pytest.approx(expected, rel=0.04)


def test_code_is_random_in_training_and_the_mean_in_evaluation():
    images = torch.zeros(2, 4, 64, 64)
    network = VaeNetwork(PAPER, 8, 20)
    assert not torch.equal(network.train()(images)[0], network(images)[0])
    assert torch.equal(network.eval()(images)[0], network(images)[0])


def test_sampled_code_spreads_by_the_square_root_of_the_variance():
    network = VaeNetwork(PAPER, 4, 500).train()
    network.decoder = torch.nn.Identity()  # the reconstruction is then the code itself
    torch.nn.init.zeros_(network.log_variance.weight)
    torch.nn.init.constant_(network.log_variance.bias, np.log(9.0))
    with reproducible(3, 1):
        code, mean, _ = network(torch.zeros(40, 4, 64, 64))
    # 20,000 draws: the relative standard error of their standard deviation is 0.5 percent.
    assert (code - mean).std().item() == pytest.approx(3.0, rel=0.02)


def test_losses_follow_the_formulas_of_lu_and_xu():
    rng = np.random.default_rng(5)
    image, rebuilt = rng.normal(size=(2, 3, 4, 64, 64))
    mean, log_variance = rng.normal(size=(2, 3, 30, 1, 1))
    error = [0.5 * ((a - b) ** 2).sum() for a, b in zip(image, rebuilt, strict=True)]
    divergence = [
        sum(0.5 * (m**2 + np.exp(s) - s - 1) for m, s in zip(mean[i].flat, log_variance[i].flat, strict=True))
        for i in range(3)
    ]
    tensors = [torch.from_numpy(array) for array in (image, rebuilt, mean, log_variance)]
    np.testing.assert_allclose(reconstruction_error(*tensors[:2]), error, rtol=1e-12)
    np.testing.assert_allclose(kl_divergence(*tensors[2:]), divergence, rtol=1e-12)


def test_divergence_of_the_standard_normal_is_zero_and_of_a_shift_is_half_its_square():
    zero = torch.zeros(1, 4, 1, 1)
    assert kl_divergence(zero, zero).item() == 0
    assert kl_divergence(zero + 3, zero).item() == pytest.approx(4 * 4.5)


def test_training_leaves_the_weights_whose_validation_loss_was_lowest(negatives_of, small_settings):
    rng = np.random.default_rng(4)
    bright, dark = (negatives_of(rng.normal(level, 2, (25, 64, 64))) for level in (8, -8))
    settings = small_settings.model_copy(update={"epochs": 3, "batch_size": 8})
    vae = Vae()
    summary = vae.fit(bright, dark, settings)
    # The better it rebuilds bright patches, the worse dark ones: an earlier epoch than the last is the best.
    assert summary.best_epoch < len(summary.history)
    with torch.inference_mode():
        (batch,) = dark.stream(PAPER, 25)
        images = network_input(batch.images, PAPER)
        reconstruction, mean, log_variance = vae.network(images)
        losses = 0.5 * (images - reconstruction).square().sum(dim=(1, 2, 3))
        losses += settings.kl_weight * kl_divergence(mean, log_variance)
    # Sums of float32 values; the share of the KL term lies far above the tolerance.
    assert losses.mean().item() == pytest.approx(
        summary.history[summary.best_epoch - 1].validation_loss, rel=1e-5
    )


def test_channels_are_scaled_by_documented_ranges(samples_of):
    patches = np.zeros((2, 64, 64))
    patches[0], patches[1] = 3.0, -7.5
    patches[1, 0, 0], patches[1, 0, 1] = 99.0, np.nan
    terrain = {name: np.full((1, 64, 64), value) for name, value in (("slope", 45.0), ("aspect", 270.0))}
    samples = samples_of(patches, previous=[0], terrain=terrain)
    channels = network_channels("aspect")
    (batch,) = samples.stream(channels, 1)
    scaled = scale(batch.images, channels)[0]
    assert channels == ("vv_star", "vv_star_old", "slope", "aspect")
    np.testing.assert_allclose(scaled[:, 9, 9], [-0.5, 0.2, 0.5, 0.5], rtol=1e-6)
    assert scaled[0, 0, 0] == 1.0  # clipped at +15 dB
    assert scaled[0, 0, 1] == 0.0  # no value
    assert scaled.dtype == np.float32


def test_unscaling_undoes_scaling_within_the_range():
    images = np.random.default_rng(2).uniform(0, 14, (2, 4, 64, 64)).astype(np.float32)
    for channels in map(network_channels, ("aspect", "local_incidence")):
        np.testing.assert_allclose(
            unscale(scale(images, channels), channels), images, atol=1e-4
        )  # float32 at 360 degrees


def test_training_context_restores_random_state_and_threads():
    torch.manual_seed(11)
    expected, threads = torch.rand(1), torch.get_num_threads()
    torch.manual_seed(11)
    with reproducible(5, 1):
        assert torch.get_num_threads() == 1
        torch.rand(3)
    assert torch.equal(torch.rand(1), expected)
    assert torch.get_num_threads() == threads
