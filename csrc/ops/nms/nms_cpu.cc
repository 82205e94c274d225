// Greedy non-maximum suppression on the CPU: boxes by falling score, each kept unless it overlaps a kept one too much.
//
// Only kept boxes nearby can suppress a box. The IoU of two boxes is at most that of their extents along one axis; for
// lengths of at most w with centres d apart that is at most (w - d) / (w + d), so
//
//   IoU > t  needs  d < w (1 - t) / (1 + t)  along both axes
//
// and with cells of this size, w being the greatest width (height), suppressors lie in the 3x3 cells around the centre.
// A cell holds its kept boxes in blocks of kLanes; lanes that are still free hold NaN, which overlaps nothing:
//
//   cells   . | 0 1 | 2 | . |  first block of each, as many as the boxes whose centres lie there may need
//   block   x1[kLanes] y1[kLanes] x2[kLanes] y2[kLanes] area[kLanes]
//
// Boxes for which this reasoning fails (NaN, infinite, x2 < x1; thresholds outside (0, 1)) get one cell. One box of
// great size makes all cells great: then a box is compared with every kept one, kLanes at a time.
//
// Small sets have no cells: a box is compared with all before it, kept or not, so that no comparison waits for the
// decision about the last box. The decision is one AND with the bits of the kept ones.
//
// The walk is sequential by nature. Classes are independent: a chunk owns a run of classes.
#include "cpu/boxes-inl.h"
#include "cpu/radix_sort-inl.h"
#include "ops/nms/nms.h"

namespace fastdl::FASTDL_ISA {

constexpr int64_t kGridBoxes = 96;      // fewer are compared faster than sorted into cells; a multiple of kLanes
constexpr int64_t kBoxesPerCell = 8;    // at least, on average: a block of fewer is mostly empty
constexpr int64_t kChunkBoxes = 2048;   // of a chunk of classes
constexpr double kBoundSlack = 1.001;   // covers the rounding of widths, centres and IoU
constexpr double kMostCells = 1 << 20;  // along an axis, also of boxes without extent
constexpr double kReach = 1 << 30;      // positions of more cells than this lose their fraction: no grid

template <class T>
struct SortedBoxes {  // by falling score
  T *x1, *y1, *x2, *y2, *area;
};

// ---- the grid -------------------------------------------------------------------------------------------------------

struct Axis {
  double origin = 0, per_length = 0;  // cell = (centre - origin) * per_length
  int64_t cells = 1;
  int64_t cell(double centre) const {
    const int64_t c = static_cast<int64_t>((centre - origin) * per_length);
    return c < cells ? c : cells - 1;
  }
};
struct Grid {
  Axis x, y;
  bool plain = false;                            // the reasoning above holds, and unions are positive
  int64_t pitch() const { return x.cells + 2; }  // one empty cell around, so that every cell has eight neighbours
  int64_t cells() const { return pitch() * (y.cells + 2); }
  static int64_t most_cells(int64_t n) { return 3 * (n / kBoxesPerCell) + 12; }
};

struct Extent {  // of centres, and the greatest length
  double low = __builtin_inf(), high = -__builtin_inf(), length = 0;
  void add(double a, double b) {
    const double centre = 0.5 * (a + b);
    low = centre < low ? centre : low, high = centre > high ? centre : high;
    length = b - a > length ? b - a : length;
  }
  double cells(double bound) const {
    const double size = high - low;
    if (!(size > 0)) return 1;
    double most = size / (length * bound);
    most = most < kMostCells ? most : kMostCells;
    const double magnitude = (low < 0 ? -low : low) + size;
    return most < 1 || magnitude / size * most > kReach ? 1 : most;
  }
  Axis axis(double count) const {
    const int64_t cells = count < 1 ? 1 : static_cast<int64_t>(count);
    return {low, cells > 1 ? static_cast<double>(cells) / (high - low) : 0.0, cells};
  }
};

template <class T>
static Grid grid_for(const SortedBoxes<T>& b, const int32_t* members, int64_t n, T threshold) {
  Extent x, y;
  bool plain = threshold > T{0} && threshold < T{1};
  for (int64_t i = 0; i < n; ++i) {
    const int32_t m = members[i];
    const T w = b.x2[m] - b.x1[m], h = b.y2[m] - b.y1[m];
    plain &= w >= 0 && h >= 0 && w - w == 0 && h - h == 0;
    x.add(static_cast<double>(b.x1[m]), static_cast<double>(b.x2[m]));
    y.add(static_cast<double>(b.y1[m]), static_cast<double>(b.y2[m]));
  }
  if (!plain) return {{}, {}, plain};
  const double t = static_cast<double>(threshold) * (1 - 1e-5), bound = (1 - t) / (1 + t) * kBoundSlack;
  const double most = static_cast<double>(n / kBoxesPerCell);
  double across = x.cells(bound), down = y.cells(bound);
  if (across * down > most) {
    const double shrink = __builtin_sqrt(most / (across * down));
    across = across * shrink < 1 ? 1 : across * shrink;
    down = down * shrink < 1 ? 1 : down * shrink;
    across = across < most ? across : most, down = down < most ? down : most;
  }
  return {x.axis(across), y.axis(down), true};
}

// ---- overlap --------------------------------------------------------------------------------------------------------

template <class T>
struct Threshold {
  T value;   // the greatest T that is not above the threshold: IoU > threshold is IoU > value
  T screen;  // intersection > screen * union holds where IoU > value may

  explicit Threshold(double t) : value(static_cast<T>(t)) {
    if (static_cast<double>(value) > t)  // for float only
      value = static_cast<T>(__builtin_nextafterf(static_cast<float>(value), -__builtin_inff()));
    screen = value * static_cast<T>(1 - 1e-5);
  }
};

// Divisions cost as much as the rest: plain boxes, whose union is positive, are screened by a product first.
template <class T, bool kScreen>
FASTDL_INLINE bool any_exceeds(const BoxVec<T>& kept, const BoxVec<T>& box, const Threshold<T>& threshold) {
  const Vec<T> inter = intersection<T>(kept, box), joint = kept.area + box.area - inter;
  if (kScreen && !any_lane<T>(inter > threshold.screen * joint)) return false;
  return any_lane<T>(inter / joint > threshold.value);
}

// ---- small sets -----------------------------------------------------------------------------------------------------

// A bit for each lane that is set.
template <class T>
FASTDL_INLINE uint32_t lane_bits(Mask<T> m) {
#if defined(FASTDL_ISA_avx512)
  if constexpr (sizeof(T) == 4)
    return _mm512_movepi32_mask((__m512i)m);
  else
    return _mm512_movepi64_mask((__m512i)m);
#elif defined(FASTDL_ISA_avx2)
  if constexpr (sizeof(T) == 4)
    return static_cast<uint32_t>(_mm256_movemask_ps((__m256)m));
  else
    return static_cast<uint32_t>(_mm256_movemask_pd((__m256d)m));
#elif defined(__x86_64__)
  if constexpr (sizeof(T) == 4)
    return static_cast<uint32_t>(_mm_movemask_ps((__m128)m));
  else
    return static_cast<uint32_t>(_mm_movemask_pd((__m128d)m));
#else
  uint32_t bits = 0;
  for (int i = 0; i < kLanes<T>; ++i) bits |= m[i] ? uint32_t{1} << i : 0;
  return bits;
#endif
}

// Fewer than kGridBoxes boxes of a class, and which of them are kept.
template <class T>
class SmallSet {
 public:
  void suppress(const SortedBoxes<T>& b, const int32_t* members, int64_t n, const Threshold<T>& t, uint8_t* kept) {
    const bool plain = gather(b, members, n) && t.value > T{0} && t.value < T{1};
    plain ? walk<true>(members, n, t, kept) : walk<false>(members, n, t, kept);
  }

 private:
  static constexpr int kBlocks = static_cast<int>(kGridBoxes) / kLanes<T>;

  // Whether unions are positive, as of a grid. Boxes beyond n are never kept.
  bool gather(const SortedBoxes<T>& b, const int32_t* members, int64_t n) {
    bool plain = true;
    for (int64_t i = 0; i < n; ++i) {
      const int32_t m = members[i];
      x1_[i] = b.x1[m], y1_[i] = b.y1[m], x2_[i] = b.x2[m], y2_[i] = b.y2[m], area_[i] = b.area[m];
      const T w = x2_[i] - x1_[i], h = y2_[i] - y1_[i];
      plain &= w >= 0 && h >= 0 && w - w == 0 && h - h == 0;
    }
    const int64_t rest = (n + kLanes<T> - 1) / kLanes<T> * kLanes<T> - n;
    for (T* const list : {x1_, y1_, x2_, y2_, area_})
      for (int64_t i = n; i < n + rest; ++i) list[i] = T{0};
    return plain;
  }

  template <bool kScreen>
  void walk(const int32_t* members, int64_t n, const Threshold<T>& t, uint8_t* kept) {
    for (int64_t first = 0; first < n; first += kLanes<T>) {
      const int64_t block = first / kLanes<T>, last = first + kLanes<T> < n ? first + kLanes<T> : n;
      keeps_[block] = 0;
      for (int64_t i = first; i < last; ++i) {
        const BoxVec<T> box = broadcast_box<T>(x1_[i], y1_[i], x2_[i], y2_[i], area_[i]);
        uint32_t removed = 0;
        for (int64_t k = 0; k <= block; ++k) removed |= exceeding<kScreen>(k, box, t);
        kept[members[i]] = removed == 0;
        keeps_[block] |= static_cast<uint32_t>(removed == 0) << (i - first);
      }
    }
  }

  template <bool kScreen>
  FASTDL_BODY uint32_t exceeding(int64_t k, const BoxVec<T>& box, const Threshold<T>& t) const {
    const int64_t at = k * kLanes<T>;
    const BoxVec<T> earlier{load<T>(x1_ + at), load<T>(y1_ + at), load<T>(x2_ + at), load<T>(y2_ + at),
                            load<T>(area_ + at)};
    const Vec<T> inter = intersection<T>(earlier, box), joint = earlier.area + box.area - inter;
    if (kScreen && !(lane_bits<T>(inter > t.screen * joint) & keeps_[k])) return 0;
    return lane_bits<T>(inter / joint > t.value) & keeps_[k];
  }

  alignas(kVecBytes) T x1_[kGridBoxes], y1_[kGridBoxes], x2_[kGridBoxes], y2_[kGridBoxes], area_[kGridBoxes];
  uint32_t keeps_[kBlocks];  // of each block the boxes that are kept
};

// ---- kept boxes in cells --------------------------------------------------------------------------------------------

// Room for the kept boxes of one class after another.
template <class T>
class KeptBoxes {
 public:
  explicit KeptBoxes(int64_t most)
      : first_(Grid::most_cells(most) + 1),
        count_(Grid::most_cells(most)),
        cell_(most),
        blocks_(most / kLanes<T> + Grid::most_cells(most) + 1) {}

  void suppress(const SortedBoxes<T>& b, const int32_t* members, int64_t n, const Threshold<T>& t, uint8_t* kept) {
    if (n < kGridBoxes) return small_.suppress(b, members, n, t, kept);
    const Grid grid = grid_for<T>(b, members, n, t.value);
    lay_out(grid, b, members, n);
    if (grid.plain)
      walk<true>(grid.pitch(), b, members, n, t, kept);
    else
      walk<false>(grid.pitch(), b, members, n, t, kept);
  }

 private:
  // Gives each cell as many blocks as it may need.
  void lay_out(const Grid& grid, const SortedBoxes<T>& b, const int32_t* members, int64_t n) {
    __builtin_memset(count_, 0, static_cast<size_t>(grid.cells()) * sizeof(int32_t));
    const bool one = grid.cells() == 9;
    for (int64_t i = 0; i < n; ++i) {
      const int32_t m = members[i];
      const int64_t x = one ? 0 : grid.x.cell(0.5 * (static_cast<double>(b.x1[m]) + static_cast<double>(b.x2[m])));
      const int64_t y = one ? 0 : grid.y.cell(0.5 * (static_cast<double>(b.y1[m]) + static_cast<double>(b.y2[m])));
      cell_[i] = static_cast<int32_t>((y + 1) * grid.pitch() + x + 1);
      ++count_[cell_[i]];
    }
    int32_t at = 0;
    for (int64_t c = 0; c < grid.cells(); ++c) {
      first_[c] = at;
      at += (count_[c] + kLanes<T> - 1) / kLanes<T>;
      count_[c] = 0;
    }
  }

  template <bool kScreen>
  void walk(int64_t pitch, const SortedBoxes<T>& b, const int32_t* members, int64_t n, const Threshold<T>& t,
            uint8_t* kept) {
    // The cell itself first: there a suppressor is likeliest.
    const int64_t around[9] = {0, -1, 1, -pitch, pitch, -pitch - 1, -pitch + 1, pitch - 1, pitch + 1};
    for (int64_t i = 0; i < n; ++i) {
      const int32_t m = members[i];
      const BoxVec<T> box = broadcast_box<T>(b.x1[m], b.y1[m], b.x2[m], b.y2[m], b.area[m]);
      bool free = true;
      for (int k = 0; k < 9 && free; ++k) free = !suppressed<kScreen>(cell_[i] + around[k], box, t);
      kept[m] = free;
      if (free) add(cell_[i], b, m);
    }
  }

  template <bool kScreen>
  bool suppressed(int64_t cell, const BoxVec<T>& box, const Threshold<T>& t) const {
    const BoxVec<T>* block = blocks_ + first_[cell];
    for (int32_t left = count_[cell]; left > 0; left -= kLanes<T>, ++block)
      if (any_exceeds<T, kScreen>(*block, box, t)) return true;
    return false;
  }

  void add(int64_t cell, const SortedBoxes<T>& b, int32_t m) {
    const int32_t at = count_[cell]++;
    BoxVec<T>& block = blocks_[first_[cell] + at / kLanes<T>];
    const int lane = at % kLanes<T>;
    const T nan = static_cast<T>(__builtin_nan(""));
    if (lane == 0) block = broadcast_box<T>(nan, nan, nan, nan, nan);
    T* const lanes = reinterpret_cast<T*>(&block) + lane;
    constexpr int kNext = kLanes<T>;
    lanes[0] = b.x1[m], lanes[kNext] = b.y1[m], lanes[2 * kNext] = b.x2[m], lanes[3 * kNext] = b.y2[m];
    lanes[4 * kNext] = b.area[m];
  }

  SmallSet<T> small_;
  Scratch<int32_t> first_, count_, cell_;  // of a cell: first block, boxes kept; the cell of each box
  Scratch<BoxVec<T>> blocks_;
};

// ---- order and classes ----------------------------------------------------------------------------------------------

template <class T>
static void sort_by_score(const NmsArgs& a, const SortedBoxes<T>& out, int32_t* order) {
  using Key = SortKey<T>;
  Scratch<Keyed<Key>> items(a.n), spare(a.n);
  const T* scores = static_cast<const T*>(a.scores);
  for (int64_t i = 0; i < a.n; ++i) items[i] = {~sort_key<T>(scores[i]), static_cast<int32_t>(i)};
  const Keyed<Key>* sorted = radix_sort<Key>(items, spare, a.n);
  for (int64_t r = 0; r < a.n; ++r) {
    const T* box = static_cast<const T*>(a.boxes) + 4 * int64_t{sorted[r].index};
    order[r] = sorted[r].index;
    out.x1[r] = box[0], out.y1[r] = box[1], out.x2[r] = box[2], out.y2[r] = box[3], out.area[r] = box_area<T>(box);
  }
}

// Lists the ranks of each class in turn, highest score first; ends[c] is the end of the c-th list. Returns their count.
static int64_t list_classes(const NmsArgs& a, const int32_t* order, int32_t* members, int64_t* ends) {
  if (!a.classes) {
    for (int64_t r = 0; r < a.n; ++r) members[r] = static_cast<int32_t>(r);
    ends[0] = a.n;
    return 1;
  }
  Scratch<Keyed<uint64_t>> items(a.n), spare(a.n);
  for (int64_t r = 0; r < a.n; ++r) items[r] = {static_cast<uint64_t>(a.classes[order[r]]), static_cast<int32_t>(r)};
  const Keyed<uint64_t>* sorted = radix_sort<uint64_t>(items, spare, a.n);
  int64_t classes = 0;
  for (int64_t i = 0; i < a.n; ++i) {
    members[i] = sorted[i].index;
    if (i + 1 == a.n || sorted[i + 1].key != sorted[i].key) ends[classes++] = i + 1;
  }
  return classes;
}

template <class T>
static void nms(const NmsArgs& a) {
  Scratch<T> coordinates(5 * a.n);
  Scratch<int32_t> order(a.n), members(a.n);
  Scratch<int64_t> ends(a.n);
  Scratch<uint8_t> kept(a.n);
  T* const c = coordinates;
  const SortedBoxes<T> boxes{c, c + a.n, c + 2 * a.n, c + 3 * a.n, c + 4 * a.n};
  sort_by_score<T>(a, boxes, order);
  const int64_t classes = list_classes(a, order, members, ends);
  const Threshold<T> threshold(a.iou_threshold);
  const int64_t grain = classes * kChunkBoxes / a.n;
  parallel_for(classes, grain > 1 ? grain : 1, [&](int64_t begin, int64_t end) {
    const auto start = [&](int64_t k) { return k ? ends[k - 1] : 0; };
    int64_t most = 0;
    for (int64_t k = begin; k < end; ++k) most = ends[k] - start(k) > most ? ends[k] - start(k) : most;
    KeptBoxes<T> room(most);
    for (int64_t k = begin; k < end; ++k) room.suppress(boxes, members + start(k), ends[k] - start(k), threshold, kept);
  });
  int64_t count = 0;
  for (int64_t r = 0; r < a.n; ++r) {
    a.keep[count] = order[r];
    count += kept[r];
  }
  *a.count = count;
}

void nms_fwd(const NmsArgs& a) {
  *a.count = 0;
  if (a.n == 0) return;
  visit_float(a.dtype, [&](auto zero) { nms<decltype(zero)>(a); });
}

}  // namespace fastdl::FASTDL_ISA
