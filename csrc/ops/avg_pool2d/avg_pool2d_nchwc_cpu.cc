// Average pooling with channels innermost.
#include "cpu/pool_nchwc-inl.h"
#include "ops/avg_pool2d/avg_pool2d.h"

namespace fastdl::FASTDL_ISA {
namespace {

struct NchwcMean : SumFold<float> {
  const AvgPool2dArgs& a;
  explicit NchwcMean(const AvgPool2dArgs& args) : a(args) {}
  __attribute__((always_inline)) Vec<float> finish(Vec<float> v, int64_t ox, int64_t oy) const {
    const PoolGeometry& g = a.g;
    const int64_t elements =
        a.divisor ? a.divisor
                  : window_elements(oy, g.in_h, g.kernel_h, g.stride_h, g.pad_h, a.count_include_pad) *
                        window_elements(ox, g.in_w, g.kernel_w, g.stride_w, g.pad_w, a.count_include_pad);
    return v / broadcast<float>(static_cast<float>(elements));
  }
};

}  // namespace

void avg_pool2d_nchwc(const AvgPool2dNchwcArgs& p) {
  const AvgPool2dArgs& a = p.fwd;
  fold_nchwc(a.g, p.block, static_cast<const float*>(a.x), NchwcMean(a), static_cast<float*>(a.out));
}

}  // namespace fastdl::FASTDL_ISA
