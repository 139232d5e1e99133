// tflite::MicroMutableOpResolver: as strict about its size, and about an operation that is added twice.
#ifndef STANDIN_MICRO_MUTABLE_OP_RESOLVER_H_
#define STANDIN_MICRO_MUTABLE_OP_RESOLVER_H_

#include <strings.h>

#include "tensorflow/lite/micro/micro_op_resolver.h"

#define STANDIN_OPERATIONS(ADD) \
    ADD(Abs) ADD(Add) ADD(AddN) ADD(ArgMax) ADD(ArgMin) ADD(AveragePool2D) ADD(BatchMatMul) ADD(BatchToSpaceNd) \
    ADD(BroadcastArgs) ADD(BroadcastTo) ADD(Cast) ADD(Ceil) ADD(Concatenation) ADD(Conv2D) ADD(Cos) ADD(CumSum) \
    ADD(DepthToSpace) ADD(DepthwiseConv2D) ADD(Dequantize) ADD(Div) ADD(Elu) ADD(EmbeddingLookup) ADD(Equal) \
    ADD(Exp) ADD(ExpandDims) ADD(Fill) ADD(Floor) ADD(FloorDiv) ADD(FloorMod) ADD(FullyConnected) ADD(Gather) \
    ADD(GatherNd) ADD(Greater) ADD(GreaterEqual) ADD(HardSwish) ADD(L2Normalization) ADD(L2Pool2D) ADD(LeakyRelu) \
    ADD(Less) ADD(LessEqual) ADD(Log) ADD(LogSoftmax) ADD(LogicalAnd) ADD(LogicalNot) ADD(LogicalOr) ADD(Logistic) \
    ADD(MaxPool2D) ADD(Maximum) ADD(Mean) ADD(Minimum) ADD(MirrorPad) ADD(Mul) ADD(Neg) ADD(NotEqual) ADD(Pack) \
    ADD(Pad) ADD(PadV2) ADD(Prelu) ADD(Quantize) ADD(ReduceMax) ADD(ReduceMin) ADD(Relu) ADD(Relu6) ADD(Reshape) \
    ADD(ResizeBilinear) ADD(ResizeNearestNeighbor) ADD(ReverseV2) ADD(Round) ADD(Rsqrt) ADD(SelectV2) ADD(Shape) \
    ADD(Sin) ADD(Slice) ADD(Softmax) ADD(SpaceToBatchNd) ADD(SpaceToDepth) ADD(Split) ADD(SplitV) ADD(Sqrt) \
    ADD(Square) ADD(SquaredDifference) ADD(Squeeze) ADD(StridedSlice) ADD(Sub) ADD(Sum) ADD(Svdf) ADD(Tanh) \
    ADD(Transpose) ADD(TransposeConv) ADD(UnidirectionalSequenceLSTM) ADD(Unpack) ADD(ZerosLike)

namespace tflite {

template <unsigned int kCount>
class MicroMutableOpResolver : public MicroOpResolver {
 public:
#define ADD(NAME) \
  TfLiteStatus Add##NAME() { return Add(#NAME); }
  STANDIN_OPERATIONS(ADD)
#undef ADD

  bool Has(const char* operation) const override {
    for (unsigned int i = 0; i < added_; ++i) {
      if (strcasecmp(names_[i], operation) == 0) return true;
    }
    return false;
  }

 private:
  TfLiteStatus Add(const char* name) {
    if (added_ == kCount || Has(name)) return kTfLiteError;
    names_[added_++] = name;
    return kTfLiteOk;
  }

  const char* names_[kCount];
  unsigned int added_ = 0;
};

}  // namespace tflite

#endif  // STANDIN_MICRO_MUTABLE_OP_RESOLVER_H_
