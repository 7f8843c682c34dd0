// Nothing: linking it is the test (tests/CMakeLists.txt).
int main() {}
