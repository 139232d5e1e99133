// What a MicroInterpreter asks a resolver for.
#ifndef STANDIN_MICRO_OP_RESOLVER_H_
#define STANDIN_MICRO_OP_RESOLVER_H_

#include "tensorflow/lite/c/common.h"

namespace tflite {

class MicroOpResolver {
 public:
  virtual bool Has(const char* operation) const = 0;  // its name in the schema, without underscores

 protected:
  ~MicroOpResolver() = default;
};

}  // namespace tflite

#endif  // STANDIN_MICRO_OP_RESOLVER_H_
