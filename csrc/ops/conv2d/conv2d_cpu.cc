// conv2d on the CPU: chooses an algorithm for each of the three directions (README.md has the rule and what it rests
// on).
#include "cpu/transpose-inl.h"
#include "ops/conv2d/conv2d_algorithm.h"
#include "ops/conv2d/conv2d_view-inl.h"
#include "ops/conv2d/conv2d_weight-inl.h"
#include "ops/conv2d/conv2d_winograd-inl.h"

namespace fastdl::FASTDL_ISA {
namespace {

ImageSum forward_sum(const Conv2dGeometry& g) {
  return {g.batch,
          g.groups,
          g.in_channels / g.groups,
          g.out_channels / g.groups,
          g.out_h,
          g.out_w,
          g.kernel_h,
          g.kernel_w,
          g.stride_h,
          g.stride_w};
}

WinogradArgs winograd_forward(const Conv2dFwdArgs& p, const ImageSum& s) {
  const Conv2dGeometry& g = p.g;
  WinogradArgs w = winograd_args(s, g.in_h, g.in_w);
  w.top = -g.pad_top, w.left = -g.pad_left;
  w.weight_k = g.kernel_h * g.kernel_w, w.weight_m = s.channels * w.weight_k, w.rotate = false;
  w.src = static_cast<const float*>(p.x), w.weight = static_cast<const float*>(p.weight);
  w.bias = static_cast<const float*>(p.bias), w.residual = static_cast<const float*>(p.residual);
  w.activation = p.activation;
  w.nchwc = p.channel_block > 0;
  w.out = static_cast<float*>(p.out);
  return w;
}

enum class DirectForm {  // as in kDirectKernels
  kRaster,
  kAmx,
  kPlanes,
  kStrassen,
  kChannels,
  kPixels,
  kPanels,
  kNchwc,
  kNchwcAmx,
  kNchwcStrassen,
  kNchwcDepthwise,
  kNchwcFew
};

DirectForm direct_form(const View& v, bool nchwc, bool kept) {
  if (nchwc && nchwc_depthwise_serves(v)) return DirectForm::kNchwcDepthwise;
  if (nchwc && nchwc_amx_serves(v, kept)) return DirectForm::kNchwcAmx;
  if (nchwc) return kept && nchwc_strassen_serves(v) ? DirectForm::kNchwcStrassen : DirectForm::kNchwc;
  if (raster_serves(v)) return DirectForm::kRaster;
  if (amx_serves_view(v, kept)) return DirectForm::kAmx;
  if (planes_serve(v)) return DirectForm::kPlanes;
  if (kept && strassen_serves(v)) return DirectForm::kStrassen;
  if (channels_serve(v, kept)) return DirectForm::kChannels;
  if (pixels_serve(v)) return DirectForm::kPixels;
  return DirectForm::kPanels;
}

// By form: the kernel, how many numbers its weights are as it packs them, and what packs them. Without these there is
// nothing to prepare.
struct DirectKernel {
  void (*run)(const View& v);
  int64_t (*weights)(const View& v);
  void (*prepare)(const View& v, void* to);
};
constexpr DirectKernel kDirectKernels[] = {
    {conv_raster, nullptr, nullptr},
    {conv_amx, amx_weights, prepare_amx},
    {conv_planes, nullptr, nullptr},
    {conv_strassen, strassen_weights, prepare_strassen},
    {conv_channels, lane_weights, prepare_lanes},
    {conv_pixels, lane_weights, prepare_lanes},
    {conv_panels, panel_weights, prepare_panels},
    {conv_nchwc, lane_weights, prepare_nchwc},
    {conv_nchwc_amx, nchwc_amx_weights, prepare_nchwc_amx},
    {conv_nchwc_strassen, nchwc_strassen_weights, prepare_nchwc_strassen},
    {conv_nchwc_depthwise, nchwc_depthwise_weights, prepare_nchwc_depthwise},
    {conv_nchwc_few, lane_weights, prepare_lanes},
};
const DirectKernel& kernel_of(DirectForm form) {
  return kDirectKernels[static_cast<int>(form)];
}

struct Choice {
  WinogradForm winograd;
  DirectForm direct;  // where that is none
};

// kept: the kernel may use weights prepared beforehand.
Choice choose(const Conv2dFwdArgs& p, const ImageSum& s, const View& v, bool kept) {
  const bool nchwc = p.channel_block > 0;
  if (p.plain_x) return {WinogradForm::kNone, DirectForm::kNchwcFew};
  const auto form_for = [&](bool of_kept) {
    const WinogradForm form = winograd_form(p.dtype, p.g, s, of_kept);
    return nchwc && !winograd_serves_nchwc(form, s) ? WinogradForm::kNone : form;
  };
  WinogradForm form = form_for(kept);
  // (Transformed weights that are too large to keep are made in each call.)
  if (kept && form != WinogradForm::kNone && winograd_weights(form, winograd_forward(p, s)) == 0)
    form = form_for(false);
  return {form, form == WinogradForm::kNone ? direct_form(v, nchwc, kept) : DirectForm::kPanels};
}

// What stands in front of prepared weights: for which kernel they are. A change of settings makes others of use, and
// those are then left aside.
struct PreparedFor {
  int64_t winograd, direct, vector, tiles;
  bool operator==(const PreparedFor& o) const {
    return winograd == o.winograd && direct == o.direct && vector == o.vector && tiles == o.tiles;
  }
};
constexpr int64_t kHeader = 64;  // bytes
static_assert(sizeof(PreparedFor) <= kHeader);

PreparedFor prepared_for(const Choice& c) {
  return {static_cast<int64_t>(c.winograd), static_cast<int64_t>(c.direct), kVecBytes, active_isa == Isa::kAmx};
}

const void* weights_for(const PreparedFor& kernel, const void* prepared) {
  if (!prepared || !(*static_cast<const PreparedFor*>(prepared) == kernel)) return nullptr;
  return static_cast<const char*>(prepared) + kHeader;
}

View view_of(const Conv2dFwdArgs& p, Tap* taps) {
  View v = forward_view(p.g, p.dtype, taps);
  v.src = p.x, v.weight = p.weight, v.bias = p.bias, v.residual = p.residual, v.activation = p.activation;
  v.out = p.out;
  join_rows(v);
  return v;
}

// ---- channels innermost ---------------------------------------------------------------------------------------------

bool nchwc_is_native(const Conv2dFwdArgs& p) {
  const int64_t in = p.g.in_channels / p.g.groups, out = p.g.out_channels / p.g.groups;
  const bool depthwise = in == 1 && out == 1 && !p.plain_x;  // all channels are whole blocks
  const bool whole = (p.plain_x || in % kL == 0) && out % kL == 0;
  return p.channel_block == kL && p.dtype == DType::kFloat32 && (depthwise || whole);
}

// Matrices one after another, each transposed.
void turn(const float* from, int64_t count, int64_t rows, int64_t columns, float* to) {
  const int64_t size = rows * columns;
  for (int64_t i = 0; i < count; ++i) transpose_matrix(from + i * size, columns, rows, columns, to + i * size, rows);
}

// Of a recording whose blocks are those of another instruction set: right, however long it takes.
void run_as_nchw(Conv2dFwdArgs p) {
  const Conv2dGeometry& g = p.g;
  const int64_t block = p.channel_block, in = g.in_h * g.in_w, out = g.out_h * g.out_w;
  const int64_t in_blocks = p.plain_x ? 0 : g.batch * g.in_channels / block,
                out_blocks = g.batch * g.out_channels / block;
  const bool residual = p.residual != nullptr;
  Scratch<float> x(in_blocks * block * in), made(out_blocks * block * out),
      added(residual ? out_blocks * block * out : 1);
  if (!p.plain_x) turn(static_cast<const float*>(p.x), in_blocks, in, block, x);
  if (residual) turn(static_cast<const float*>(p.residual), out_blocks, out, block, added);
  float* const result = static_cast<float*>(p.out);
  p.x = p.plain_x ? p.x : x.get(), p.plain_x = false, p.out = made, p.residual = residual ? added.get() : nullptr,
  p.channel_block = 0, p.prepared = nullptr;
  conv2d_fwd(p);
  turn(made, out_blocks, block, out, result);
}

}  // namespace

void conv_direct(View& v) {
  if (v.pixels() == 0) return;
  join_rows(v);
  kernel_of(direct_form(v, false, false)).run(v);
}

void conv2d_fwd(const Conv2dFwdArgs& p) {
  const Conv2dGeometry& g = p.g;
  if (g.batch == 0) return;
  if (p.channel_block > 0 && !nchwc_is_native(p)) return run_as_nchw(p);
  const ImageSum s = forward_sum(g);
  Scratch<Tap> taps(g.kernel_h * g.kernel_w);
  View v = view_of(p, taps);
  if (v.pixels() == 0) return;
  Choice chosen{};
  const void* ready = nullptr;
  if (p.prepared) {
    chosen = choose(p, s, v, true);
    ready = weights_for(prepared_for(chosen), p.prepared);
  }
  if (!ready) chosen = choose(p, s, v, false);
  if (chosen.winograd == WinogradForm::kNone) {
    v.prepared = ready;
    return kernel_of(chosen.direct).run(v);
  }
  WinogradArgs w = winograd_forward(p, s);
  w.prepared = static_cast<const float*>(ready);
  winograd_conv(chosen.winograd, w);
}

void conv2d_prepare(const Conv2dPrepareArgs& p) {
  const Conv2dGeometry& g = p.fwd.g;
  *p.bytes = 0;
  if (g.batch == 0 || (p.fwd.channel_block > 0 && !nchwc_is_native(p.fwd))) return;
  const ImageSum s = forward_sum(g);
  Scratch<Tap> taps(g.kernel_h * g.kernel_w);
  const View v = view_of(p.fwd, taps);
  const Choice chosen = choose(p.fwd, s, v, true);
  const WinogradForm winograd = chosen.winograd;
  const DirectKernel& kernel = kernel_of(chosen.direct);
  const int64_t count = winograd != WinogradForm::kNone ? winograd_weights(winograd, winograd_forward(p.fwd, s))
                        : kernel.weights                ? kernel.weights(v)
                                                        : 0;
  if (count == 0) return;
  *p.bytes = kHeader + count * static_cast<int64_t>(itemsize(p.fwd.dtype));
  if (!p.to) return;
  char* to = static_cast<char*>(p.to);
  for (int64_t i = 0; i < kHeader; ++i) to[i] = 0;
  *reinterpret_cast<PreparedFor*>(to) = prepared_for(chosen);
  if (winograd != WinogradForm::kNone)
    winograd_prepare(winograd, winograd_forward(p.fwd, s), reinterpret_cast<float*>(to + kHeader));
  else
    kernel.prepare(v, to + kHeader);
}

void conv2d_channel_block(const ChannelBlockArgs& p) {
  *p.block = kL;
}

void conv2d_bwd_weight(const Conv2dBwdWeightArgs& p) {
  const Conv2dGeometry& g = p.g;
  if (use_winograd_for_weights(p.dtype, g)) return winograd_weight_gradient(p);
  if (depthwise_serves_weights(p.dtype, g)) return weight_gradient_depthwise(p);
  if (planes_serve_weights(g)) return weight_gradient_planes(p);
  if (few_serve_weights(p.dtype, g)) return weight_gradient_few(p);
  if (lanes_serve_weights(p.dtype, g)) return weight_gradient_lanes(p);
  weight_gradient_panels(p);
}

}  // namespace fastdl::FASTDL_ISA
