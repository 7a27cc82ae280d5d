# What the jobs in this directory compute; sourced by each of them. Set these in the environment, or edit them here.
: "${RASTER:=dem.tif}" "${CRATERS:=craters.csv}" "${OUT:=stats.parquet}" "${WORK:=work}"
: "${TABLE:=--body moon --units km}" "${REGIONS:=--region floor=0.8 --region rim=1:1.5}" "${STATS:=mean,std,count,median}"
: "${MEMORY:=4GiB}" # of pixels and sums, per process; see README.md beside this file

# xcrater runs one thread per core itself. Libraries that start as many again for each of them slow one another down.
export OMP_NUM_THREADS=1 OPENBLAS_NUM_THREADS=1 MKL_NUM_THREADS=1

# By itself GDAL would keep decoded blocks in 5 % of the memory of the node, in each process, whatever the job was given.
export GDAL_CACHEMAX="${GDAL_CACHEMAX:-256}" # MB
