module helloworld

go 1.21
